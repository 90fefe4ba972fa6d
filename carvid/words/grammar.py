"""Which stretches of a plain expression speak: rules in order of precedence, over the vocabulary's classes.

A rule is a regular expression with <class> for any word of a class. At a place in the text the first rule that fits
wins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from carvid.words.vocabulary import pattern, vocabulary

SIDES = ("left", "right", "top", "bottom", "middle", "front", "back")
DIRECTIONS = {"left": "left", "right": "right", "top": "up", "bottom": "down", "up": "up", "down": "down"}
OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}

# The beginning of a clause about what stands before it.
_RELATIVE = re.compile(r" (?:which|that|who) ")

Found = tuple[str, str]
"""Kind and value of a clue."""


@dataclass(frozen=True)
class Match:
    """What a rule found: stretches (start, end) of the plain text.

    found: the clues, none where the words are known to say nothing. keep: what lies within and yet stays with the head.
    other: the other thing.
    """

    found: tuple[Found, ...]
    span: tuple[int, int]
    keep: tuple[int, int] | None
    other: tuple[int, int] | None


def _side(word: str) -> str:
    return next(side for side in SIDES if word in vocabulary()[side])


def _places(match: re.Match[str]) -> list[Found]:
    return [("place", _side(word)) for word in re.findall(_expand("<side>"), match["s"])]


def _order(match: re.Match[str]) -> list[Found]:
    return [("order", f"{_side(match['s'])}:{vocabulary()['ordinal'][match['n']]}")]


def _of_class(kind: str, name: str) -> Callable[[re.Match[str]], list[Found]]:
    return lambda match: [(kind, vocabulary()[name][match["v"]])]


def _heading(match: re.Match[str]) -> list[Found]:
    words = re.findall(_expand("up|down|<side>"), match["s"])
    sides = [word if word in DIRECTIONS else _side(word) for word in words]
    return [("motion", value) for value in dict.fromkeys(DIRECTIONS.get(side, "moving") for side in sides)]


def _coming(match: re.Match[str]) -> list[Found]:
    side = _side(match["s"])
    return [("motion", DIRECTIONS[OPPOSITE[side]] if side in OPPOSITE else "moving")]


def _corner(match: re.Match[str]) -> list[Found]:
    return [("place", "top" if match["v"] == "up" else "bottom"), ("place", _side(match["s"]))]


def _in_hand(match: re.Match[str]) -> list[Found]:
    # "a man with a ball in the left hand": the hand is the man's, and so says nothing.
    bears = re.search(r"\b(?:with|holding|having|carrying)\b", match.string[: match.start()])
    return [] if bears else [("relation", "near")]


def _clue(kind: str, value: str) -> Callable[[re.Match[str]], list[Found]]:
    return lambda match: [(kind, value)]


def _nothing(match: re.Match[str]) -> list[Found]:
    return []


# Shorthand of the rules below; {np} is a noun phrase.
MACROS = {
    "<side>": r"(?:<left>|<right>|<top>|<bottom>|<middle>|<front>|<back>)",
    "{det}": r"(?:(?:the|a|an|its|his|her|their|this|that) )?",
    "{far}": r"(?:(?:far|extreme|very|immediate) )?",
    "{end}": r"(?: hand(?= side| end| of (?:the )?<scene>))?(?:"
    r" (?:side|end|corner|edge|part|half|portion|position|area)(?: side)?)?",
    "{scene}": r"(?: (?:of|in|from) (?:the |a )?(?:\w+ )?<scene>\b)?",
    "{np}": r"(?P<o>(?:(?:the|a|an|its|his|her|their|some|this|that) )?(?:parked )?{core}(?: of {det}{core})?"
    r"(?: in {det}<colour>(?: (?!<stop>\b)\w+){0,2})?)",
    "{core}": r"(?!(?:{last}|the|a|an|its|his|her|their|it|them|him|himself)\b)\w+(?: (?:and"
    r" <colour>\b|(?!{last}\b)\w+)){0,4}",
    "{last}": r"(?:<stop>|<go>|<stay>|<turn>)",
    "{aim}": r"(?:<left>|<right>|<top>|<bottom>)",
    "{part}": r"<part>(?! (?:side|end|of (?:the )?<scene>)\b)",
    "{adv}": r"(?:(?!<side>\b|{prep}\b)\w+ ){0,2}?",
    "{prep}": r"(?:on|at|in|to|from|toward|with|by|near|and|of|behind|next|"
    r"below|above|under|between|around|over|through|among|then|into|out|which|who|that|while)",
}

RULES: tuple[tuple[str, Callable[[re.Match[str]], list[Found]]], ...] = (
    # What says nothing: compounds, gazes, parts.
    (r"<compound>", _nothing),
    (
        r"<gaze> {adv}(?:(?:to|toward|at|out|off|up|down) )*(?:from )?{det}{far}<side>(?:"
        r" <side>)?{end}{scene}",
        _nothing,
    ),
    (
        r"<gaze> (?:up|down|away|straight|ahead|forward|back)(?: (?:at|to|from) {np})?"
        r"(?: and (?:to|toward) (?:the )?<side>{end}{scene})?",
        _nothing,
    ),
    (
        r"(?:on|with|behind|to) (?:its|it s|it's|his|her|their) (?:left|right|back|side)(?! <part>| most)",
        _nothing,
    ),
    (r"<side> {part}", _nothing),
    # What stands to the thing itself is something else's place.
    (
        r"(?:(?:in|at) (?:the )?front of|behind|(?:to|on|at) (?:the )?<side>{end} of)"
        r" (?:it|them|him|himself|itself|themselves)",
        _nothing,
    ),
    (
        r"(?:touching|holding|feeding|watching|carrying|petting|hitting|with) (?:the|a|an|another)"
        r"(?: (?!{prep}\b)\w+){0,3}? (?:which|that|who) (?:is|are) .+",
        _nothing,
    ),
    (
        r"(?:\w+ )?(?:the )?(?:top|bottom|front|back|rear|middle|side|upper part) of"
        r" (?:its|his|her|their) \w+",
        _nothing,
    ),
    (
        r"with another(?: \w+)? (?:(?:which|that) is )?(?:(?:on|in|at) (?:the |its"
        r" )?<side>{end}|<stay>|<go>)",
        _nothing,
    ),
    (r"on (?:its|his|her|their) (?:\w+ )?(?:<part>|<body>)(?! of\b)", _nothing),
    # What is steered or moved is CLIP's to see.
    (r"(?:<steer>|moving|moves|move) (?:a|an|the|his|her|its|their) \w+", _nothing),
    (r"with (?:\w+ ){1,3}coming out(?: of {np}| {det}<side>)?", _nothing),
    (r"(?:chewing|chews|working|works|worked|biting|feeding|feeds|munching|nibbling|gnawing) on", _nothing),
    # "a rope which the man is standing on": he is who stands.
    (
        r"(?:which|that) (?:the|a|an) \w+ (?:is |are |was )?(?:<go>|<stay>|hanging)(?: (?:on|in|at|by))?",
        _nothing,
    ),
    # Negation takes what follows it.
    (r"(?:is |are )?not (?:moving|<go>)", _clue("motion", "still")),
    (
        r"(?:(?:is|are|does|do) )?(?:not|without|never|except|other than|has no|have"
        r" no|with no) (?P<o>[^,;.]+)",
        _clue("not", ""),
    ),
    # Passives: the rest is the bearer's.
    *(
        (
            rf"(?:(?:which|that|who) )?(?:(?:is|are) )?(?:being )?<{verb}> by (?P<o>.+)",
            _clue("relation", value),
        )
        for verb, value in (("worn", "on"), ("held", "near"), ("ridden", "under"))
    ),
    (r"in (?:the |a |one )?(?:(?:<left>|<right>) )?(?:hand|hands|arms) (?:of|on) (?P<o>.+)", _in_hand),
    (r"in (?P<o>(?:the|a|an) (?:\w+ )?\w+?)(?:'s| s) (?:(?:<left>|<right>) )?(?:hand|hands|arms)", _in_hand),
    (r"in (?P<o>(?:the|a|one) (?:\w+ )?(?:hand|hands|arms))", _in_hand),
    # What is on a part of somebody is on them.
    (
        r"on (?:the )?(?:(?:<left>|<right>) )?(?:<part>|head|neck|face|nose|chest|forehead) of"
        r" (?!(?:the |a )?(?:\w+ )?<scene>\b)(?P<o>.+)",
        _clue("relation", "on"),
    ),
    (r"on (?:the )?back of (?P<o>{det}(?:\w+ ){0,2}?<bearer>.*)", _clue("relation", "on")),
    (r"(?:mounting|mounts|riding|rides) (?P<o>another(?: (?!{last}\b)\w+)?)", _clue("relation", "on")),
    (r"(?:mounting|mounts) {np}", _clue("relation", "on")),
    # Orders.
    (
        r"(?:(?:on|in|at) (?:the )?)?(?P<n><ordinal>)(?: place| position)?(?P<k>(?:"
        r" (?:<stay>|<go>|(?!{last}\b)\w+)){0,3}) (?:from|to|on|at|in) (?:the"
        r" )?{far}(?P<s><side>){end}{scene}",
        _order,
    ),
    (
        r"(?P<v><extreme>)(?: side| end| corner)?{scene}",
        lambda m: [("order", f"{vocabulary()['extreme'][m['v']]}:1")],
    ),
    (
        r"(?P<s><left>|<right>|<top>|<bottom>|<front>|<back>) most(?: side| end)?{scene}",
        lambda m: [("order", f"{_side(m['s'])}:1")],
    ),
    (
        r"(?:in )?(?P<n><ordinal>) place|(?P<m><ordinal>) in (?:the )?(?:line|row|race)",
        lambda m: [("order", f"front:{vocabulary()['ordinal'][m['n'] or m['m']]}")],
    ),
    (
        r"last(?P<k>(?: (?!{last}\b)\w+){0,4}) (?:to|on|at|from) (?:the )?{far}(?P<s><left>|<right>){end}{scene}",
        lambda m: [("order", f"{_side(m['s'])}:1")],
    ),
    (r"(?:the )?last (?:in|of) (?:the )?(?:line|row|race|group)", _clue("order", "back:1")),
    (
        r"(?:furthest|farthest)(?: (?:to|on|at))?(?: the)? (?P<s><left>|<right>){end}",
        lambda match: [("order", f"{_side(match['s'])}:1")],
    ),
    # Motions with a direction.
    (
        r"(?:<go> )?(?:from )?(?:the )?<side>{end}{scene} to (?:the"
        r" )?(?P<s><left>|<right>|<top>|<bottom>){end}{scene}",
        _heading,
    ),
    (
        r"<go> (?:all the way )?{adv}(?:(?:to|toward|into) )?{det}{far}(?P<s>{aim}(?: {aim})?)(?:"
        r" wards?)?(?! of\b(?! the <scene>)){end}{scene}",
        _heading,
    ),
    (
        r"<go> (?:along|down|up|through|across|over|on|in|around|among) {det}\w+(?: (?!{last}\b)\w+)?"
        r" (?:to|toward) (?:the )?{far}(?P<s>{aim}){end}{scene}(?! of\b)",
        _heading,
    ),
    (r"<go> {adv}from (?:the )?{far}(?P<s><side>){end}{scene}", _coming),
    (r"<go> (?:up and down)", lambda m: [("motion", "up"), ("motion", "down")]),
    (
        r"<go> (?:toward )?(?P<s>(?:up|down)(?: <left>| <right>)?)"
        r"(?! (?:to|the|a|an|his|her|its|tracks?|roads?|streets?)\b)",
        _heading,
    ),
    (
        r"<go> (?P<s>up|down) {det}(?:\w+ )?<slope>",
        lambda m: [("motion", m["s"])],
    ),
    (r"<go> (?P<s>up|down)hill", lambda m: [("motion", m["s"])]),
    (r"<come> (?:near|close to|closer to) (?:to )?{np}", _clue("motion", "toward")),
    (r"<go> (?:\w+ )?away(?: from {np})?", _clue("motion", "away")),
    (r"<go> (?:\w+ )?(?:toward|up to) {np}", _clue("motion", "toward")),
    (
        r"<go> (?:in|on|along|across|through|over) {det}\w+(?: (?!{last}\b)\w+)? toward {np}",
        _clue("motion", "toward"),
    ),
    (
        r"<go> (?:with {det}\w+ |(?:back|over|up|straight|slowly|quickly|along) )?to"
        r" (?=(?:the|a|an|another)\b)(?!the (?:far |other )?(?:side|<side>)\b){np}",
        _clue("motion", "toward"),
    ),
    (r"<go> (?:forward|forwards)", _clue("motion", "toward")),
    (
        r"<turn> (?:(?:to|toward) )?(?:the )?(?P<s><left>|<right>)",
        lambda match: [("motion", "turning"), *_heading(match)],
    ),
    (r"(?<!\bat )(?<!\bthe )<turn>", _clue("motion", "turning")),
    (r"(?P<v><speed>)", _of_class("motion", "speed")),
    # Time.
    (r"(?<!\bto )<enter>(?: (?:into |in )?(?!front\b){np})?", _clue("time", "enters")),
    (r"<come> (?:into|in) (?:the )?(?:view|sight|picture|frame|scene)", _clue("time", "enters")),
    (
        r"<exit>(?: (?:from )?{np})?|leaves (?:the|a|his|her|its) \w+|(?:that|which|who) leaves(?! )"
        r"|<go> out(?: of {np})?",
        _clue("time", "leaves"),
    ),
    (r"then", _clue("time", "then")),
    (r"at first|initially|(?:in|at) the (?:beginning|start)", _clue("time", "first")),
    (r"finally|lastly|at last|at the end of the video", _clue("time", "last")),
    (r"(?:in )?(?:the )?<middle> of (?=(?:the )?(?:two|2) ){np}", _clue("relation", "between")),
    # Relations, before the places that they contain.
    (r"surrounded by {np}", _clue("relation", "between")),
    # What is around somebody is on them; what goes around does so by itself.
    (r"(?<!ing )(?<!s )around (?P<o>(?:the|a|an|its|his|her|their) .+)", _clue("relation", "on")),
    (
        r"(?:in )?between {np}(?: and (?P<o2>{det}(?!{last}\b)\w+(?: (?!{last}\b)\w+){0,3}))?",
        _clue("relation", "between"),
    ),
    *(
        (
            r"(?:on |to |at |in )?{det}{far}<" + side + r">{end} of (?!(?:the |a )?(?:\w+ )?<scene>\b){np}",
            _clue("relation", f"{side} of"),
        )
        for side in ("left", "right")
    ),
    (
        r"(?:in|at) (?:the )?front(?: of|(?= (?:a|the|another)\b)) (?!(?:the )?camera){np}|(?:slightly )?ahead of {np}",
        _clue("relation", "in front of"),
    ),
    (
        r"(?:on (?:the )?top of|on top|a top) (?!(?:the )?(?:frame|view|screen|image|picture|scene)\b){np}",
        _clue("relation", "on"),
    ),
    *(
        (words + " {np}", _clue("relation", value))
        for value, words in (
            ("behind", "(?:behind|in back of)"),
            ("above", "above"),
            ("below", "(?:below|beneath)"),
            ("under", "under"),
            ("following", "(?:following|chasing|trailing)(?: behind)?"),
            ("leading", "leading"),
        )
    ),
    (
        r"(?:near|close|closer|closest|nearest)(?: to)? (?:the )?(?:camera|viewer|front)",
        _clue("place", "near"),
    ),
    (
        r"(?:far|farther|farthest|furthest|further)(?: away)?(?: from (?:the"
        r" )?(?:camera|viewer))?(?! <side>|\w)|in the distance",
        _clue("place", "far"),
    ),
    (r"(?:next to|beside|besides|adjacent to|alongside) {np}", _clue("relation", "next to")),
    # After a participle, "by" tells who does it.
    (
        r"(?<!ed )(?<!en )(?<!ut )(?<!ht )(?<!on )(?<!with )by (?=(?:the|a|an)\b)(?!the <side>\b){np}",
        _clue("relation", "next to"),
    ),
    (r"(?:near|close to|closest to|nearest to|closer to) (?:to )?{np}", _clue("relation", "near")),
    # Places.
    (
        r"(?:on|at|in|to|from|near|by) (?:the )?(?P<v>up|down) (?P<s><middle>|<left>|<right>){end}{scene}",
        _corner,
    ),
    (
        r"(?:all the way )?(?:on|at|in|to|from|toward|near|by) (?:the"
        r" )?{far}(?P<s><side>(?:(?: far| and)? <side>)?)(?! {part}){end}{scene}"
        r"(?! of (?:the|a|an|its|his|her) (?!<scene>))",
        _places,
    ),
    (r"(?:on|at|in) {det}{far}(?P<s><middle>|<left>|<right>)(?: of {np})", _places),
    (r"(?:on|at|in|from) (?:the )?<side> of {np}", _nothing),
    (r"(?P<s><side>(?: <side>)?) (?:hand )?(?:side|corner)", _places),
    (r"(?<=the )(?P<s><side>)(?= (?!{last}\b)\w)", _places),
    (r"(?<=far )(?P<s><left>|<right>)", _places),
    # Sizes.
    (r"(?P<v><superlative>)", _of_class("size", "superlative")),
    (r"(?P<v><comparative>) than {np}", _of_class("size", "comparative")),
    (r"(?<=the )(?P<v><comparative>)", _of_class("size", "comparative")),
    (r"^(?:the )?(?P<v><cardinal>)(?= \w)", _of_class("number", "cardinal")),
    (r"^both(?: of)?", _clue("number", "both")),
    (r"^all(?: of)?(?! the way)(?= the| \w+s\b)", _clue("number", "all")),
    (
        r"^{det}(?:group|pair|herd|flock|crowd) of"
        r"(?! (?:\w+ )?(?:glasses|sunglasses|goggles|pants|trousers|shorts|jeans|shoes|boots|gloves|scissors)\b)",
        _clue("number", "group"),
    ),
    (r"on (?!(?:the |a )?(?:same )?(?:spot|phone)\b|<go>|<stay>){np}", _clue("relation", "on")),
    # These tell CLIP nothing.
    (r"moving|moves|move", _clue("motion", "moving")),
    (r"stationary|motionless", _clue("motion", "still")),
    # Weak: the verb stays with the head.
    (r"(?P<k><go>)", _clue("motion", "moving")),
    (r"(?P<k><stay>)", _clue("motion", "still")),
    (r"(?P<k>hanging|hangs)(?= (?:on|from|in|at|by|over|around|down)\b)", _clue("motion", "still")),
)


def _expand(rule: str) -> str:
    for _ in range(4):
        for name, text in MACROS.items():
            rule = rule.replace(name, text)
    if rule.count("(?P<o>") > 1:
        first, *rest = rule.split("(?P<o>")
        rule = first + "(?P<o>" + rest[0] + "".join(f"(?P<o{i}>{text}" for i, text in enumerate(rest[1:], 2))
    return re.sub(
        r"<([a-z]+)>", lambda found: pattern(found[1]) if found[1] in vocabulary() else found[0], rule
    )


@lru_cache(maxsize=1)
def _compiled() -> tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], list[Found]]], ...]:
    # (?P<s> and its like are names of groups, which no class of the vocabulary may have.
    return tuple((re.compile(rf"(?<![^ ])(?:{_expand(rule)})(?![^ ])"), found) for rule, found in RULES)


def matches(plain: str, starts: tuple[int, ...]) -> Iterator[Match]:
    """What the rules find from left to right, none overlapping another."""
    done = 0
    for start in starts:
        if start < done:
            continue
        for rule, found in _compiled():
            match = rule.match(plain, start)
            if match and match.end() > start:
                one = _as_match(match, found)
                # "next to a man who is walking": the rest is the other thing's.
                relative = one.found and one.other and _RELATIVE.match(plain, match.end())
                done = len(plain) if relative else match.end()
                yield one
                break


def _as_match(match: re.Match[str], found: Callable[[re.Match[str]], list[Found]]) -> Match:
    groups = match.groupdict()
    other = next((match.span(name) for name in ("o", "o2") if groups.get(name)), None)
    if other and groups.get("o") and groups.get("o2"):
        other = (match.start("o"), match.end("o2"))
    keep = match.span("k") if groups.get("k") else None
    return Match(tuple(found(match)), match.span(), keep, other)
