"""An image and questions about it later on. It stays in the history, so nobody sends it again by hand.

Run it with a model and a picture of yours, `python examples/picture.py gemini:gemini-3.5-flash photo.jpg`; without a
model, the offline model answers.
"""

from __future__ import annotations

import base64
import mimetypes
import sys
from pathlib import Path

from multiturn import Conversation, Image, Inline, Reply

RED = base64.b64decode(  # 64 by 48 pixels, for those who have no picture at hand
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAAAwAQMAAACbhe5cAAAAA1BMVEXIHh4WiPieAAAADklEQVR42mNgGAVDCQAAAbAAAYw4X18AAAAASUVORK5CYII="
)


def main(model: str = "offline", path: str | None = None) -> None:
    picture = from_file(path) if path else Inline(RED, "image/png")  # or Url("https://…")
    chat = Conversation(model)
    show(chat.send(["What is in this image?", Image(picture, detail="high")]))
    for question in ("How wide is the picture?", "And how tall is it?"):
        show(chat.send(question))


def show(reply: Reply) -> None:
    print(f"user › {reply.turn.input[0].text}\n bot › {reply}\n")


def from_file(path: str) -> Inline:
    return Inline(Path(path).read_bytes(), mimetypes.guess_type(path)[0] or "image/png")


if __name__ == "__main__":
    main(*sys.argv[1:])
