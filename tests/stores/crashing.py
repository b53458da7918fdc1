"""The process that `test_kills.py` kills: it streams turn after turn and says what it was told.

Lines on stdout: `begun ID` and `acknowledged ID` as a caller of `stream` learns of them, and `shown JSON` for words.
"""

from __future__ import annotations

import json
import sys

from multiturn import Conversation, RunCompleted, RunStarted


def tell(*words: str) -> None:
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


def main(url: str, question: str) -> None:
    chat = Conversation("offline", store=url, id="crashing", instructions="Be patient.")
    while True:
        for event in chat.stream(question):
            match event:
                case RunStarted(turn=turn):
                    tell("begun", turn.id)
                case RunCompleted(reply=reply):
                    tell("acknowledged", reply.turn.id)
                case _:
                    tell("shown", json.dumps(event.text))


if __name__ == "__main__":
    main(*sys.argv[1:])
