"""What the figures mean, in sentences: refusals and warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from taxiway.errors import StepError

if TYPE_CHECKING:
    from taxiway.optimize.doctor.doctor import Doctor

COPIES, NEAR_COPIES = 0.02, 0.2
"""Parts of the samples from which on copies are worth a warning."""
LOPSIDED = 10
"""Times that the most frequent class may be as frequent as the rarest."""
SPREAD = 4
"""Times that the deviation of an input may be that of the test split."""
RANDOM_HINT = "give real samples; or calibration.allow_random=true, which the report then says"


def refuse(figures: Mapping[str, Any], structured: bool, options: Doctor.Config) -> None:
    """Raise StepError for samples from which no range can be learnt.

    structured: whether as many rows of the test split are no noise for certain. `options.allow_random`
    lets samples pass.
    """
    if options.allow_random:
        return
    split, given = figures["split"], figures["samples"]
    if not given:
        raise StepError(
            f"split '{split}' has no row to calibrate on", "give it rows under data.splits"
        )
    if given > 1 and figures["duplicates"]["exact"] == given - 1:
        raise StepError(
            f"all {given} calibration samples of split '{split}' are one and the same", RANDOM_HINT
        )
    if figures["blank"] == given:
        raise StepError(
            f"every calibration sample of split '{split}' is one value all over, such as zeros",
            RANDOM_HINT,
        )
    if figures["random"] and structured:
        units = ", ".join(f"{name} {value:.2f}" for name, value in figures["structure"].items())
        raise StepError(
            f"the calibration samples of split '{split}' are random noise, those of split "
            f"'{figures['leakage']['split']}' are not (structure {units}; noise has 1)",
            RANDOM_HINT,
        )


def warnings(
    figures: Mapping[str, Any], class_names: Sequence[str] | None, options: Doctor.Config
) -> list[str]:
    """One sentence for each thing that is worth a look, the most important first."""
    return [
        *_random(figures),
        *_leakage(figures, options),
        *_ranges(figures),
        *_saturation(figures, options),
        *_spread(figures),
        *_classes(figures, class_names),
        *_copies(figures),
        *_tensors(figures),
    ]


def _random(figures: Mapping[str, Any]) -> list[str]:
    if figures["random"]:
        return ["the samples look like random noise: ranges are those of noise, not of your data"]
    return []


def _leakage(figures: Mapping[str, Any], options: Doctor.Config) -> list[str]:
    if options.test is not None and options.test == options.split:
        return [
            f"calibration and test read the same split '{options.split}': "
            "the accuracy that is measured on it is too good"
        ]
    leakage = figures["leakage"]
    if leakage and leakage["rows"]:
        return [
            f"{leakage['rows']} of the {figures['samples']} samples are also in split "
            f"'{leakage['split']}': the accuracy that is measured on it is too good"
        ]
    return []


def _ranges(figures: Mapping[str, Any]) -> list[str]:
    ranges, given = figures["ranges"], figures["samples"]
    settled, looked = ranges["settled_at"], ranges["looked_at"]
    if settled > given:
        if settled > 0.8 * looked:
            return [
                f"ranges still move after {looked} samples; you gave {given}: "
                f"calibration.samples={looked} or more"
            ]
        return [
            f"ranges stop moving after {settled} samples; you gave {given}: "
            f"calibration.samples={settled}"
        ]
    if looked <= given and settled > 0.8 * looked and ranges["tensors"]:
        left = figures["available"] - given
        more = f"the split has {left} more" if left > 0 else "the split has no more"
        return [f"ranges still move at the end of the {given} samples that you gave; {more}"]
    return []


def _saturation(figures: Mapping[str, Any], options: Doctor.Config) -> list[str]:
    saturation = figures["saturation"]
    if not saturation:
        return []
    limit = options.saturation
    # Two standard deviations of a share: of few samples, one alone must not be a warning.
    limit += 2 * (limit * (1 - limit) / saturation["samples"]) ** 0.5
    worst = [tensor for tensor in saturation["tensors"] if tensor["share"] > limit]
    if not worst:
        return []
    named = ", ".join(f"'{t['tensor']}' {100 * t['share']:.2g} %" for t in worst[:3])
    return [
        f"of {saturation['samples']} other samples, values fall outside of the ranges that yours "
        f"set: {named}"
    ]


def _spread(figures: Mapping[str, Any]) -> list[str]:
    found = []
    for name, sides in figures["inputs"].items():
        if sides["test"] is None:
            continue
        (_, mine, low, high), (_, theirs, other_low, other_high) = (
            sides["calibration"],
            sides["test"],
        )
        if max(mine, theirs) > SPREAD * min(mine, theirs):
            found.append(
                f"input '{name}' goes from {low:.4g} to {high:.4g} in the samples and from "
                f"{other_low:.4g} to {other_high:.4g} in the test split: they are scaled differently"
            )
    return found


def _classes(figures: Mapping[str, Any], class_names: Sequence[str] | None) -> list[str]:
    counts: Mapping[str, int] = figures["classes"] or {}
    if not counts:
        return []
    found = []
    if class_names:
        missing = [name for at, name in enumerate(class_names) if not counts.get(str(at))]
        if missing:
            shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            found.append(f"the samples have none of {len(missing)} classes: {shown}")
    most, least = max(counts.values()), min(counts.values())
    if most > LOPSIDED * least:
        names = {count: name for name, count in counts.items()}
        found.append(
            f"class {names[most]} has {most} of the {figures['samples']} samples, "
            f"class {names[least]} has {least}"
        )
    elif len(counts) == 1 and not class_names:
        found.append(f"all samples are of one class, {next(iter(counts))}")
    return found


def _copies(figures: Mapping[str, Any]) -> list[str]:
    given, copies = figures["samples"], figures["duplicates"]
    if copies["exact"] > COPIES * given:
        return [f"{copies['exact']} of the {given} samples are copies of others, and add nothing"]
    if copies["near"] > NEAR_COPIES * given:
        return [f"{copies['near']} of the {given} samples are nearly copies of others"]
    return []


def _tensors(figures: Mapping[str, Any]) -> list[str]:
    found = []
    if figures["infinite"]:
        named = ", ".join(f"'{name}'" for name in figures["infinite"][:3])
        found.append(f"tensors with infinite values, which no range holds: {named}")
    if figures["constant"]:
        named = ", ".join(f"'{name}'" for name in figures["constant"][:3])
        found.append(f"tensors that never change on the samples: {named}")
    return found
