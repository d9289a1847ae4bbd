"""Makes `feedback_sample.jsonl`: users of four small applications score answers, each user in their own way.

An answer has a content (helpful, thin, vague, beside the subject, or a refusal) and a tone (warm, plain, rude); both
can be read from its text. What a user makes of it differs: some are strict, some mild, some press a thumb, some give
five steps, and all are noisy. So the score can be learnt from the text, and never exactly.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

EVENTS_COUNT = 2_400
USERS_COUNT = 80
Grid = Literal["thumb", "five", "fine"]

# What an average user thinks of each content and tone, and how often each occurs.
CONTENT = {"helpful": (0.90, 42), "thin": (0.58, 16), "vague": (0.30, 15), "beside": (0.15, 7), "refusal": (0.05, 20)}
TONE = {"warm": (0.10, 35), "plain": (0.0, 41), "rude": (-0.35, 24)}
NOISE = 0.12
STRICTNESS_MAX = 0.2


@dataclass(slots=True)
class Frame:
    """One thing that people ask: ways to ask it, the answer that helps, and one that is thin."""

    questions: list[str] = field(default_factory=list)
    helpful: str = ""
    thin: str = ""


@dataclass(slots=True)
class Domain:
    """One application: its frames, its vague phrases, and the words that fill its slot."""

    name: str
    slot: str = ""
    words: list[str] = field(default_factory=list)
    vague: list[str] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who scores: what is added to every opinion, and which scores the buttons allow."""

    user_id: str
    strictness: float
    grid: Grid
    channel: str


def make(folder: Path, seed: int = 20260101) -> str:
    """The lines of the sample, from the phrases in ``folder``; the same for the same seed."""
    draw = random.Random(seed)
    domains = read_domains(folder / "feedback_frames.txt")
    voices = read_sections(folder / "feedback_voices.txt")
    users = make_users(draw)
    lines: dict[str, str] = {}
    while len(lines) < EVENTS_COUNT:
        event = _event(domains, voices, users, draw)
        # No user is shown the same answer to the same question twice; different answers to one question are wanted.
        lines.setdefault(f"{event['input_text']}\n{event['output_text']}", json.dumps(event, ensure_ascii=False))
    return "\n".join(lines.values()) + "\n"


def read_domains(path: Path) -> list[Domain]:
    """The domains of `feedback_frames.txt`, whose first lines say how it is written."""
    domains: list[Domain] = []
    for line in filter(None, path.read_text(encoding="utf-8").splitlines()):
        if line.startswith("#"):
            continue
        kind, _, text = line.partition(" ")
        _take(domains, kind, text)
    return domains


def _take(domains: list[Domain], kind: str, text: str) -> None:
    if kind == "domain":
        domains.append(Domain(text))
    elif kind == "words":
        domains[-1].slot, _, words = text.partition(": ")
        domains[-1].words = words.split(", ")
    elif kind == "V:":
        domains[-1].vague.append(text)
    elif kind == "Q:":
        if not domains[-1].frames or domains[-1].frames[-1].thin:
            domains[-1].frames.append(Frame())
        domains[-1].frames[-1].questions.append(text)
    elif kind == "A:":
        domains[-1].frames[-1].helpful = text
    else:
        domains[-1].frames[-1].thin = text


def read_sections(path: Path) -> dict[str, list[str]]:
    """The phrases of `feedback_voices.txt` under their headings."""
    sections: dict[str, list[str]] = {}
    heading = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            heading = line.strip("[]")
            sections[heading] = []
        elif line and not line.startswith("#"):
            sections[heading].append(line)
    return sections


def make_users(draw: random.Random) -> list[User]:
    """Users between strict and mild; a third each with thumbs, five steps and a slider."""
    grids: tuple[Grid, ...] = ("five", "five", "thumb", "fine")
    return [
        User(
            user_id=f"user-{number:03}",
            strictness=draw.uniform(-STRICTNESS_MAX, STRICTNESS_MAX),
            grid=draw.choice(grids),
            channel=draw.choice(("web", "app", "mail")),
        )
        for number in range(1, USERS_COUNT + 1)
    ]


def _event(
    domains: list[Domain], voices: dict[str, list[str]], users: list[User], draw: random.Random
) -> dict[str, object]:
    domain = draw.choice(domains)
    frame = draw.choice(domain.frames)
    word = draw.choice(domain.words)
    content = _weighted(CONTENT, draw)
    tone = _weighted(TONE, draw)
    # The few who use an application most write most of its feedback.
    user = users[min(int(draw.expovariate(1 / (USERS_COUNT / 4))), USERS_COUNT - 1)]
    answer = _answer(content, frame, domain, domains, voices, draw).replace("{" + domain.slot + "}", word)
    return {
        "input_text": _asked(draw.choice(frame.questions), voices, draw).replace("{" + domain.slot + "}", word),
        "output_text": _voiced(answer, tone, voices, draw),
        "feedback_score": score(CONTENT[content][0] + TONE[tone][0], user, draw),
        "user_id": user.user_id,
        "metadata": {"application": domain.name, "channel": user.channel},
    }


def _weighted(table: dict[str, tuple[float, int]], draw: random.Random) -> str:
    return draw.choices(list(table), weights=[weight for _, weight in table.values()])[0]


def _answer(
    content: str,
    frame: Frame,
    domain: Domain,
    domains: list[Domain],
    voices: dict[str, list[str]],
    draw: random.Random,
) -> str:
    if content == "helpful":
        return _led_in(frame.helpful, voices["lead_in"], draw)
    if content == "thin":
        return frame.thin
    if content == "vague":
        return _led_in(draw.choice(domain.vague), voices["hedge"], draw)
    if content == "refusal":
        return draw.choice(voices["refusal"])
    other = draw.choice([rival for rival in domains if rival is not domain])
    return draw.choice(other.frames).helpful.replace("{" + other.slot + "}", draw.choice(other.words))


def _led_in(answer: str, phrases: list[str], draw: random.Random) -> str:
    return f"{draw.choice(phrases)} {answer}" if draw.random() < 0.6 else answer


def _asked(question: str, voices: dict[str, list[str]], draw: random.Random) -> str:
    before = draw.choice(voices["ask_open"]) + " " if draw.random() < 0.35 else ""
    after = " " + draw.choice(voices["ask_close"]) if draw.random() < 0.3 else ""
    asked = before + question + after
    return asked.lower().rstrip(".!") if draw.random() < 0.15 else asked


def _voiced(answer: str, tone: str, voices: dict[str, list[str]], draw: random.Random) -> str:
    if tone == "plain":
        return answer
    before = draw.choice(voices[f"{tone}_open"])
    after = draw.choice(voices[f"{tone}_close"])
    both = draw.random()
    parts = [before if both < 0.75 else "", answer, after if both > 0.45 else ""]
    voiced = " ".join(filter(None, parts))
    # After a comma the answer goes on in the same sentence.
    return (
        re.sub(r", ([A-Z])(?=[a-z])", lambda match: ", " + match[1].lower(), voiced, count=1)
        if "," in before
        else voiced
    )


def score(opinion: float, user: User, draw: random.Random) -> float:
    """What ``user`` gives for an answer that the average user would give ``opinion``; always in [0, 1]."""
    felt = min(1.0, max(0.0, opinion + user.strictness + draw.gauss(0.0, NOISE)))
    if user.grid == "thumb":
        return float(felt > 0.5)
    return round(felt * 4) / 4 if user.grid == "five" else round(felt, 2)
