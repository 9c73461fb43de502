"""A project's keys, and the tokens (JWT) that tell PostgREST whose request it is."""

import json
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import jwt


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The publishable key speaks for anybody, the secret key for the server; `signing` signs tokens."""

    publishable: str
    secret: str
    signing: str

    @classmethod
    def new(cls) -> Self:
        return cls(
            publishable=f"sb_publishable_{secrets.token_urlsafe(16)}",
            secret=f"sb_secret_{secrets.token_urlsafe(16)}",
            signing=secrets.token_hex(32),
        )

    @classmethod
    def kept_in(cls, folder: Path) -> Self:
        """Return the keys that this folder holds; new ones the first time."""
        path = folder / "keys.json"
        if path.exists():
            return cls(**json.loads(path.read_text()))
        keys = cls.new()
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(keys)))
        return keys

    def role_of(self, key: str | None) -> str | None:
        return {self.publishable: "anon", self.secret: "service_role"}.get(key or "")

    def token(self, role: str, **claims: str) -> str:
        """Return a token for a role that is valid for a day."""
        return jwt.encode({"role": role, "exp": int(time.time()) + 86_400, **claims}, self.signing, algorithm="HS256")
