"""Reading the Ref-DAVIS tree: both forms of expressions, both annotation folders, and what is missing."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from carvid.davis.dataset import read_dataset, read_truth
from carvid.davis.labels import decode_label_map
from carvid.errors import InputError, UsageError
from carvid.media.palette import encode_label_png, voc_palette
from tests.davis_trees import boxes, write_images, write_masks, write_texts, write_truth

BOTH = boxes(_1=(1, 1), _2=(7, 11))
VIDEOS = {"classic-car": [BOTH] * 3, "dogs-scale": [BOTH] * 2, "motorbike": [boxes(_1=(1, 1))] * 2}
# Out of order, three names misspelt, a blank line, and a video of another split.
LINES = [
    'clasic-car 2 "the second car"',
    'clasic-car 1 "a "vintage" car"',
    "",
    'dog-scale 1 "a dog"',
    'dog-scale 2 "café au lait dog"',
    'motor-bike 1 "the rider"',
    'elsewhere 1 "nobody"',
]


@pytest.fixture
def tree(tmp_path):
    write_truth(tmp_path, VIDEOS)
    write_images(tmp_path, VIDEOS)
    return write_texts(tmp_path, LINES)


def meta_of(texts):
    """The converted form: four consecutive expressions per object, out of order as strings ("10" < "2")."""
    videos = {}
    for video, frames in VIDEOS.items():
        objects = int(frames[0].max())
        entries = {
            str(4 * (number - 1) + place): {"exp": texts(video, number, place), "obj_id": str(number)}
            for number in reversed(range(1, objects + 1))
            for place in range(4)
        }
        videos[video] = {"expressions": entries, "frames": [f"{i:05d}" for i in range(len(frames))]}
    return {"videos": videos}


def write_meta(root, meta, folder="valid"):
    path = root / "meta_expressions" / folder / "meta_expressions.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(meta))


def problems_of(root, **options):
    with pytest.raises(InputError) as raised:
        read_dataset(root, **options)
    return str(raised.value)


def test_text_files_in_their_encodings_and_with_their_misspelt_names(tree):
    dataset = read_dataset(tree)
    assert [video.name for video in dataset.videos] == ["classic-car", "dogs-scale", "motorbike"]
    for index in range(4):
        assert dataset.videos[0].expressions[index] == ('a "vintage" car', "the second car")
        assert dataset.videos[1].expressions[index] == ("a dog", "café au lait dog")
        assert dataset.videos[2].expressions[index] == ("the rider",)
    assert [path.name for path in dataset.videos[0].frame_paths] == ["00000.jpg", "00001.jpg", "00002.jpg"]
    assert dataset.videos[0].truth.object_count == 2
    assert (dataset.videos[0].truth.height, dataset.videos[0].truth.width) == (12, 16)


def test_each_text_file_is_one_set(tmp_path):
    write_images(write_truth(tmp_path, {"car": [boxes(_1=(1, 1))]}), {"car": [boxes()]})
    write_texts(tmp_path, [[f'car 1 "wording {index}"'] for index in range(4)])
    expressions = read_dataset(tmp_path).videos[0].expressions
    assert expressions == {index: (f"wording {index}",) for index in range(4)}


def test_meta_expressions(tmp_path):
    write_images(write_truth(tmp_path, VIDEOS), VIDEOS)
    write_meta(tmp_path, meta_of(lambda video, number, place: f"{video} {number} {place}"))
    dataset = read_dataset(tmp_path, sets=[1, 3])
    assert dataset.sets == (1, 3)
    assert dataset.videos[0].expressions == {
        1: ("classic-car 1 1", "classic-car 2 1"),
        3: ("classic-car 1 3", "classic-car 2 3"),
    }


def test_only_some_videos_and_sets(tree):
    (tree / "davis_text_annotations" / "Davis17_annot2.txt").unlink()
    dataset = read_dataset(tree, videos=["motorbike"], sets=[1, 0])
    assert [video.name for video in dataset.videos] == ["motorbike"]
    assert dataset.sets == (0, 1)


@pytest.mark.parametrize("sets", [[4], [-1], [], [0, 0]])
def test_sets_that_do_not_exist(tree, sets):
    with pytest.raises(UsageError, match="0, 1, 2 and 3"):
        read_dataset(tree, sets=sets)


def test_everything_missing_is_one_error(tree):
    (tree / "ImageSets/2017/val.txt").write_text("classic-car\ndogs-scale\nmotorbike\nghost\n")
    (tree / "JPEGImages/480p/classic-car/00001.jpg").unlink()
    (tree / "Annotations/480p/classic-car/00002.png").unlink()
    (tree / "davis_text_annotations/Davis17_annot2.txt").unlink()
    path = tree / "davis_text_annotations/Davis17_annot1.txt"
    path.write_text(
        'classic-car 1 "a car"\ndogs-scale 1 "a"\ndogs-scale 2 "b"\ndogs-scale 3 "c"\nmotorbike 1 "d"\n'
    )
    message = problems_of(tree)
    for expected in (
        "no folder " + str(tree / "Annotations/480p/ghost"),
        "no frame " + str(tree / "JPEGImages/480p/classic-car/00001.jpg"),
        "no annotation " + str(tree / "Annotations/480p/classic-car/00002.png"),
        "object 2 of classic-car has no expression in set 0",
        "has an expression for object 3 of dogs-scale, whose first annotation has 2 objects",
        "no file " + str(tree / "davis_text_annotations/Davis17_annot2.txt"),
        "object 1 of motorbike has no expression in set 2",
    ):
        assert expected in message


def test_nothing_there_at_all(tmp_path):
    message = problems_of(tmp_path)
    for part in (
        "Annotations",
        "Annotations_unsupervised",
        "val.txt",
        "davis_text_annotations",
        "JPEGImages",
    ):
        assert part in message


def test_a_long_list_is_cut(tree):
    for path in (tree / "JPEGImages/480p").glob("*/*.jpg"):
        path.unlink()
    (tree / "ImageSets/2017/val.txt").write_text("".join(f"ghost{number}\n" for number in range(50)))
    message = problems_of(tree)
    assert "50 problems" in message
    assert "and 30 more" in message


def test_a_video_outside_the_split(tree):
    assert "video nobody is not in" in problems_of(tree, videos=["motorbike", "nobody"])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("motorbike", "annot1.txt:1: expected: video object_id"),
        ('motorbike one "x"', "annot1.txt:1: expected: video object_id"),
        ('motorbike 1 ""', "the expression is empty"),
        ('motorbike 1 "x"\nmotor-bike 1 "y"', "a second expression in the same set"),
    ],
)
def test_lines_that_cannot_be_read(tree, line, expected):
    write_texts(tree, [line])
    assert expected in problems_of(tree, videos=["motorbike"])


def test_files_saved_anew_with_a_byte_order_mark(tree):
    plain = read_dataset(tree)
    listed = tree / "ImageSets/2017/val.txt"
    listed.write_text(listed.read_text(), encoding="utf-8-sig", newline="\r\n")
    write_texts(tree, LINES, encodings=["utf-8-sig"] * 4)
    assert read_dataset(tree) == plain
    shutil.rmtree(tree / "davis_text_annotations")
    write_meta(tree, meta_of(lambda *_: "words"))
    plain = read_dataset(tree)
    meta = tree / "meta_expressions/valid/meta_expressions.json"
    meta.write_text(meta.read_text(), encoding="utf-8-sig")
    assert read_dataset(tree) == plain


def test_a_list_of_videos_names_each_once(tree):
    listed = tree / "ImageSets/2017/val.txt"
    listed.write_text("motorbike\n\n dogs-scale\nmotorbike\nmotorbike/\n../val/motorbike\n")
    message = problems_of(tree)
    assert "3 problems" in message
    assert "val.txt, line 4: motorbike is listed already, in line 1" in message
    assert "val.txt, line 5: 'motorbike/' is not the name of a folder alone" in message
    # Also where it is one of those asked for, or none of them.
    assert "3 problems" in problems_of(tree, videos=["dogs-scale"])


def test_a_list_of_videos_that_cannot_be_read(tree):
    listed = tree / "ImageSets/2017/val.txt"
    listed.write_bytes(b"motorbike\nbl\xe4\n")
    assert "cannot read" in problems_of(tree)
    listed.write_text(256 * "x")
    assert "File name too long" in problems_of(tree)


def test_a_latin_1_file_where_utf_8_is_due(tree):
    write_texts(tree, ['motorbike 1 "café"'], encodings=["latin-1"] * 4)
    message = problems_of(tree, videos=["motorbike"])
    assert "Davis17_annot1.txt is not UTF-8" in message
    assert "Davis17_annot2.txt is not" not in message


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda meta: meta["videos"].pop("motorbike"), "has no video motorbike"),
        (lambda meta: meta["videos"]["motorbike"]["expressions"].popitem(), "has 3 expressions, expected 4"),
        (lambda meta: meta["videos"]["motorbike"]["frames"].append("00009"), "00009.jpg"),
        (lambda meta: meta["videos"]["motorbike"].pop("expressions"), "not in the form of meta_expressions"),
        (
            lambda meta: meta["videos"]["motorbike"]["expressions"]["0"].update(exp="\ud83d"),
            "object 1: the expression '\\ud83d' holds",
        ),
        (lambda meta: meta["videos"].update(motorbike=3), "not in the form of meta_expressions"),
    ],
)
def test_meta_expressions_that_lack_something(tmp_path, change, expected):
    write_images(write_truth(tmp_path, VIDEOS), VIDEOS)
    meta = meta_of(lambda *_: "words")
    change(meta)
    write_meta(tmp_path, meta, "val")
    assert expected in problems_of(tmp_path)


def test_either_annotation_folder_and_any_other(tmp_path):
    videos = {"motorbike": VIDEOS["motorbike"]}
    write_truth(tmp_path, videos, "Annotations_unsupervised")
    assert read_truth(tmp_path).folder == tmp_path / "Annotations_unsupervised" / "480p"
    write_truth(tmp_path, videos)
    assert read_truth(tmp_path).folder == tmp_path / "Annotations" / "480p"
    by_name = read_truth(tmp_path, annotations=Path("Annotations_unsupervised"))
    assert by_name.folder == tmp_path / "Annotations_unsupervised" / "480p"
    elsewhere = write_masks(tmp_path / "mine", videos)
    assert read_truth(tmp_path, annotations=elsewhere).folder == elsewhere
    with pytest.raises(InputError, match="no folder nowhere"):
        read_truth(tmp_path, annotations=Path("nowhere"))


def test_a_first_annotation_without_objects(tmp_path):
    write_truth(tmp_path, {"car": [np.full((4, 4), 255, np.uint8)]})
    with pytest.raises(InputError, match="has no object"):
        read_truth(tmp_path)


def encoded(array, mode, tmp_path):
    path = tmp_path / "mask.png"
    Image.fromarray(array).convert(mode).save(path)
    return path.read_bytes()


LABELS = np.array([[0, 1, 2], [3, 20, 255]], np.uint8)


def test_palette_and_grey_pngs(tmp_path):
    np.testing.assert_array_equal(decode_label_map(encode_label_png(LABELS), "a"), LABELS)
    np.testing.assert_array_equal(decode_label_map(encoded(LABELS, "L", tmp_path), "a"), LABELS)
    one_bit = decode_label_map(encoded(LABELS * 255, "1", tmp_path), "a")
    assert one_bit.dtype == np.uint8
    assert set(one_bit.ravel().tolist()) <= {0, 1}


def test_an_rgb_png_in_the_palettes_colours(tmp_path):
    np.testing.assert_array_equal(
        decode_label_map(encoded(voc_palette()[LABELS], "RGB", tmp_path), "a"), LABELS
    )


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (
            lambda tmp: encoded(np.full((2, 2, 3), 129, np.uint8), "RGB", tmp),
            r"4 pixels .* \(129, 129, 129\)",
        ),
        (lambda tmp: encoded(voc_palette()[LABELS], "RGBA", tmp), "mode RGBA"),
        (lambda tmp: encoded(LABELS, "LA", tmp), "mode LA"),
        (lambda tmp: encode_label_png(LABELS)[:60], "not a readable PNG"),
        (lambda tmp: b"text", "not a readable PNG"),
    ],
)
def test_pngs_that_are_no_label_map(tmp_path, make, expected):
    with pytest.raises(InputError, match=f"some/00000.png.*{expected}"):
        decode_label_map(make(tmp_path), "some/00000.png")
