"""What the part “Two adapters at once” says. No streamlit here."""

from __future__ import annotations

__all__ = ["ADAPTER_FILES", "CLASH", "OTHER_ADAPTER", "STOPPED", "TWO_ADAPTERS", "WHY_NOT"]

TWO_ADAPTERS = (
    "Upload two adapters of one model to see which directions both change, and whether they clash "
    "when both are applied. An upload is not part of a link."
)
OTHER_ADAPTER = "Upload the other adapter as well."
ADAPTER_FILES = (
    "One .safetensors file; of PEFT both adapter_model.safetensors and adapter_config.json. They "
    "stay in this server's memory while you look at them."
)
STOPPED = "Stopped: the two adapters are not compared."
WHY_NOT = "Only modules that both adapters change can share directions or clash."
CLASH = (
    "They clash where the cosine ⟨A, B⟩/(‖A‖·‖B‖) is 0.1 or more in size, over all modules or in "
    "one. They may clash where it is not, but in the column spaces and in the row spaces the mean "
    "squared cosine of the principal angles is a tenth or more of the way from chance to 1. The "
    "shares and ‖A + B‖ are over all modules together; norms have no unit."
)
