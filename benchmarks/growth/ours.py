"""multiturn, `await chat.asend`, kept in SQLite; the model answers at once."""

from pathlib import Path

from growth.metering import Send, run
from multiturn import Conversation
from replies import InstantModel


def open_chat(folder: Path) -> Send:
    chat = Conversation(InstantModel(), store=f"sqlite:///{folder.resolve()}/ours.db")

    async def send(text: str) -> str:
        return (await chat.asend(text)).text

    return send


if __name__ == "__main__":
    run(open_chat)
