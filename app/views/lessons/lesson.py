"""What a lesson file holds, and the check that explains a bad one."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from app.shared.settings import Setting
from app.views.lessons.measures import MEASURES
from lolora_core import FAMILIES
from lolora_core.common.names import printable
from lolora_core.files.bounded_json import JsonLimits
from lolora_core.files.json_files import json_object
from lolora_core.training import METHODS

__all__ = [
    "MEASURED",
    "PAGES",
    "SHOWN",
    "Lesson",
    "Lowest",
    "Measure",
    "NumberGuess",
    "Question",
    "SelfCheck",
    "Step",
    "measure_in",
    "read_lesson",
]

#: What a step can show, of pages that look at a target and of Fine-tune.
SHOWN: Mapping[str, str] = {
    "target": "the target",
    "pictures": "the target and what each family makes of it",
    "ladder": "one family in this state and in the other states of the step",
    "strips": "the strips of global and the table they make",
    "errors": "a table: error, parameters and ranks by family",
    "structure": "where the parameters go, drawn to scale",
    "curve": "error against budget",
    "grids": "error against the number of blocks",
    "ranks": "the rank of every block",
    "spectrum": "the singular values of the whole matrix",
    "race": "the loss of each method while it learns",
    "updates": "error of each family on the ΔW that full fine-tuning finds",
}
#: The pages that a step can be about, with their titles.
PAGES = {"compare": "Compare", "what_if": "What if", "fine_tune": "Fine-tune"}
#: Readers wait for a race, and share the cores.
MOST_STEPS = 1000
#: A lesson is text: what is larger is none.
LIMITS = JsonLimits(size=1_000_000, values=20_000)
#: Faults of a file that are told at once.
MOST_FAULTS = 20
_OF_TRAINING = ("race", "updates")
#: A number of the program inside a text: {{relative_error:localized@shuffled}}.
MEASURED = re.compile(r"\{\{(\w+)(?::([\w-]+))?(?:@([\w -]+))?\}\}")

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]
State = dict[str, Any]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Measure(_Part):
    """A number, or the winner, as the program measures it in a state of the step.

    Attributes
    ----------
    measure : str
        One of `MEASURES`.
    of : str
        A family or a method, where the measure needs one.
    at : str
        One of the step's other states; empty for its own.
    """

    measure: str
    of: str = ""
    at: str = ""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.measure not in MEASURES:
            raise ValueError(f"“{self.measure}” is not measured; there are {_list(MEASURES)}")
        kind = MEASURES[self.measure].of
        subjects: Sequence[str] = {"family": list(FAMILIES), "method": list(METHODS)}.get(
            kind, [""]
        )
        if self.of not in subjects:
            allowed = f"one of {_list(subjects)}" if kind else "left out"
            raise ValueError(f"“of” of {self.measure} must be {allowed}; it is “{self.of}”")
        return self


class Lowest(_Part):
    """Which of several measures is lowest; the answer is its key among the options."""

    lowest: dict[str, Measure] = Field(min_length=2)


def _form_of_answer(value: Any) -> str:
    is_lowest = isinstance(value, Lowest) or (isinstance(value, dict) and "lowest" in value)
    return "Lowest" if is_lowest else "Measure"


class NumberGuess(_Part):
    """A number to guess.

    Attributes
    ----------
    minimum, maximum, step : float
    within : float
        How far a guess may lie from the program's number and still be right.
    """

    minimum: float
    maximum: float
    step: float = Field(gt=0)
    within: float = Field(gt=0)


class Question(_Part):
    """Predict first: options or a number to guess, and an answer that the program computes."""

    ask: Text
    options: dict[str, Line] = {}
    number: NumberGuess | None = None
    answer: Annotated[
        Annotated[Measure, Tag("Measure")] | Annotated[Lowest, Tag("Lowest")],
        Discriminator(_form_of_answer),
    ]
    because: Text
    reveal: list[str] = []

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if bool(self.options) == (self.number is not None):
            raise ValueError("a question has either “options” or a “number”, not both")
        words = isinstance(self.answer, Lowest) or MEASURES[self.answer.measure].is_words
        if words and len(self.options) < 2:
            raise ValueError("this answer is one of several: give two “options” or more")
        if not words and self.number is None:
            raise ValueError("this answer is a number: give a “number” to guess")
        if isinstance(self.answer, Lowest):
            missing = [key for key in self.answer.lowest if key not in self.options]
            if missing:
                raise ValueError(f"“{missing[0]}” is compared but is not among the “options”")
        return self


class Choice(_Part):
    """One option of a self-check, and what to say to whoever picks it."""

    text: Line
    right: bool = False
    why: Text


class SelfCheck(_Part):
    """A question about an idea: its right option is explained."""

    ask: Text
    options: list[Choice] = Field(min_length=2)

    @model_validator(mode="after")
    def _one_right(self) -> Self:
        if sum(option.right for option in self.options) != 1:
            raise ValueError("exactly one option of a self-check is right")
        return self


class Step(_Part):
    """One step: what to read, the state it is about, what to look at and what to predict.

    Attributes
    ----------
    page : str
        Folder of the page that the state belongs to, one of `PAGES`.
    state : dict
        Settings of that page by key; those left out are at their defaults.
    also : dict
        Other states by name: what differs from `state`.
    families : list of str
        That are shown; all that singular values tell, where empty.
    show : list of str
        Of `SHOWN`, in order; "errors@shuffled" is of another state.
    hide : list of str
        Keys of controls that the lesson does not offer.
    """

    heading: Line
    text: Text
    page: str
    state: State
    also: dict[str, State] = {}
    families: list[str] = []
    show: list[str] = []
    look: Text | None = None
    hide: list[str] = []
    question: Question | None = None
    self_check: SelfCheck | None = None

    @model_validator(mode="after")
    def _legal(self, info: ValidationInfo) -> Self:
        if self.page not in PAGES:
            raise ValueError(f"“page” must be one of {_list(PAGES)}")
        known = {s.key: s for s in (info.context or {})["pages"][self.page]}
        for name, state in (("state", self.state), *self.also.items()):
            for key, value in state.items():
                _check_value(name, key, value, known)
        if self.page == "fine_tune" and (self.state.get("ft_steps") or 0) > MOST_STEPS:
            raise ValueError(f"a lesson trains for at most {MOST_STEPS:,} steps (ft_steps)")
        unknown = [key for key in self.hide if key not in known]
        if unknown:
            raise ValueError(f"“hide” names “{unknown[0]}”, which is no control of {self.page}")
        strange = [name for name in self.families if name not in FAMILIES]
        if strange:
            raise ValueError(f"“families” names “{strange[0]}”; there are {_list(FAMILIES)}")
        for item in (*self.show, *(self.question.reveal if self.question else ())):
            self._check_shown(item)
        for measure in self.measures():
            self._check_at(measure.at)
            trained = MEASURES[measure.measure].trained
            if trained != (self.page == "fine_tune"):
                where = "fine_tune" if trained else "compare and what_if"
                raise ValueError(f"{measure.measure} is measured on {where}, not on {self.page}")
        return self

    def _check_at(self, name: str) -> None:
        if name and name not in self.also:
            known = _list(self.also)
            raise ValueError(f"there is no other state “{name}”; this step has {known}")

    def _check_shown(self, item: str) -> None:
        name, _, at = item.partition("@")
        if name not in SHOWN:
            raise ValueError(f"“{name}” cannot be shown; allowed are {_list(SHOWN)}")
        self._check_at(at)
        if (name in _OF_TRAINING) != (self.page == "fine_tune"):
            raise ValueError(f"“{name}” cannot be shown of the page {self.page}")

    def texts(self) -> Iterator[str]:
        """Yield every text that may hold numbers of the program."""
        yield self.text
        if self.look:
            yield self.look
        if self.question:
            yield self.question.ask
            yield self.question.because

    def measures(self) -> Iterator[Measure]:
        """Yield what the texts and the question measure."""
        for text in self.texts():
            for found in re.finditer(r"\{\{.*?\}\}", text):
                yield measure_in(found[0])
        if self.question:
            answer = self.question.answer
            yield from answer.lowest.values() if isinstance(answer, Lowest) else (answer,)


class Lesson(_Part):
    """A lesson, as a file holds it."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$")]
    title: Line
    minutes: int = Field(ge=1, le=120)
    audience: Line
    objectives: list[Line] = Field(min_length=1, max_length=6)
    steps: list[Step] = Field(min_length=1, max_length=6)


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def measure_in(text: str) -> Measure:
    """Return what a placeholder measures.

    Examples
    --------
    >>> measure_in("{{relative_error:global}}")
    Measure(measure='relative_error', of='global', at='')
    """
    found = MEASURED.fullmatch(text)
    if found is None:
        raise ValueError(f"{text} is not of the form {{{{measure:family@state}}}}")
    return Measure(measure=found[1], of=found[2] or "", at=found[3] or "")


def _check_value(name: str, key: str, value: Any, known: Mapping[str, Setting]) -> None:
    where = "“state”" if name == "state" else f"the other state “{name}”"
    if key not in known:
        raise ValueError(f"{where} names “{printable(key)}”, which is no setting of this page")
    setting = known[key]
    if not setting.accepts(value):
        raise ValueError(
            f"{where} has {key} = {reprlib.repr(value)}; allowed is {_allowed(setting)}"
        )


def _allowed(setting: Setting) -> str:
    if setting.options:
        return f"one of {_list(map(repr, setting.options))}"
    kind = "a number" if setting.is_number else f"a value of type {type(setting.default).__name__}"
    if setting.minimum is None:
        return kind
    return f"{kind} from {setting.minimum} to {setting.maximum}"


def read_lesson(text: str | bytes, name: str, pages: Mapping[str, Sequence[Setting]]) -> Lesson:
    """Return the lesson that a file holds.

    Parameters
    ----------
    text : str or bytes
        JSON.
    name : str
        Of the file, for messages.
    pages : mapping
        Settings of each page, by the name of its folder.

    Raises
    ------
    ValueError
        What is wrong, a line for each fault: in which file, step and field, and what is allowed.
    """
    held = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    found = json_object(held, name, LIMITS)
    try:
        return Lesson.model_validate(found, context={"pages": pages})
    except ValidationError as problem:
        faults = list(dict.fromkeys(_fault(error, name) for error in problem.errors()))
        more = [f"… and {len(faults) - MOST_FAULTS} more."] if len(faults) > MOST_FAULTS else []
        raise ValueError("\n".join(faults[:MOST_FAULTS] + more)) from None


#: What pydantic says less plainly, by its type of error.
_PLAIN = {
    "missing": "is missing",
    "extra_forbidden": "is no field of a lesson file",
    "string_too_short": "is empty",
    "string_too_long": "has more than {max_length} characters",
    "too_short": "needs {min_length} or more",
    "too_long": "may have {max_length} at most",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "greater_than": "must be more than {gt}",
}


def _fault(error: Mapping[str, Any], name: str) -> str:
    """Say what pydantic found, with the place in words.

    Examples
    --------
    >>> _fault({"type": "missing", "loc": ("steps", 2, "heading")}, "mine.json")
    'mine.json, step 3, “heading”: is missing.'
    """
    words, at = [name], list(error["loc"])
    if at[:1] == ["steps"] and len(at) > 1:
        words.append(f"step {int(at[1]) + 1}")
        at = at[2:]
    # Names of classes say which of two forms of an answer was tried.
    words += [f"“{printable(str(part))}”" for part in at if part not in ("Measure", "Lowest")]
    plain = _PLAIN.get(error["type"])
    if plain:
        return f"{', '.join(words)}: {plain.format(**error.get('ctx', {}))}."
    said = str(error["msg"]).removeprefix("Value error, ")
    return f"{', '.join(words)}: {said[:1].lower()}{said[1:].rstrip('.')}."
