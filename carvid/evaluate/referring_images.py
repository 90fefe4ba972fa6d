"""Images with expressions for their objects, in COCO's instances.json and a file of references: RefCOCO and its kin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from carvid.errors import InputError
from carvid.evaluate.choosing import chosen_names, each, repeated
from carvid.evaluate.contract import Choice, Sample
from carvid.evaluate.instances import Instances, image_folder, read_instances
from carvid.problems import refuse_if_any


class Reference(Protocol):
    """What refers to objects of an image. image: its id, as text."""

    @property
    def image(self) -> str: ...


R = TypeVar("R", bound=Reference)


@dataclass(frozen=True)
class ReferringImages(Generic[R]):
    """samples: the images chosen; a sample's name is the image's id. references: by the image's id."""

    samples: tuple[Sample, ...]
    instances: Instances
    references: Mapping[str, list[R]]


def read_referring_images(
    root: Path,
    name: str,
    refs: Path,
    part: str,
    choice: Choice,
    *,
    read: Callable[[], list[R]],
    ids: Callable[[list[R]], Mapping[str, Iterable[str]]],
    sample: Callable[[str, list[R], Instances, Path], Sample],
) -> ReferringImages[R]:
    """The images with references in a part of the benchmark `name`; instances.json lies beside `refs`.

    read: the references of the part. ids: those that must not occur twice, by what the file calls them.
    sample: of an image's id and references, the instances and the folder of images; may raise InputError.
    Raises UsageError for a choice that there is not, and one InputError that lists all that is missing or wrong.
    """
    problems: list[str] = []
    references: list[R] = []
    try:
        instances = read_instances(refs.parent / "instances.json")
        images = image_folder(root)
        references = read()
    except InputError as error:
        problems.append(str(error))
    if not references and not problems:
        problems.append(f"{refs} has nothing in the split {part}")
    for kind, every in ids(references).items():
        problems.extend(f"{refs} has the {kind} {twice} twice" for twice in repeated(every))
    by_image: dict[str, list[R]] = {}
    for one in references:
        by_image.setdefault(one.image, []).append(one)
    chosen = () if problems else chosen_names(choice, list(by_image))
    samples = each(chosen, lambda image: sample(image, by_image[image], instances, images), problems)
    refuse_if_any(problems, f"{root} is not a complete {name} tree", "Complete the tree.")
    return ReferringImages(samples, instances, {image: by_image[image] for image in chosen})
