// The faceless component that brings the factors.

export default function linkedFactors({ data }) {
  if (data) shelve(data);
}
