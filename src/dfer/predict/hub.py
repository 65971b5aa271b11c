"""A package from Hugging Face's hub, or from one that speaks its interface (HF_ENDPOINT).

It is downloaded once, into the hub's own cache. Of a model no more is fetched than is needed, and
nothing of one that is not a package of ours. There is no code in a package, and no pickle.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dfer.errors import UserError
from dfer.predict.package import CONFIG, read_config

# user/name, user/name@revision; not ./name, which is a path
NAME = re.compile(r"(\w[\w.-]*/[\w.-]+)(?:@([\w./-]+))?")


def is_hub_id(text: str) -> bool:
    """Whether this may be a name on the hub: user/name, perhaps with @ and a revision."""
    return NAME.fullmatch(text) is not None


def download(name: str, file: str) -> Path:
    """The folder with config.json and one more file of a package, fetched if it is not yet.

    Args:
        name: user/name, or user/name@revision: a branch, a tag or a commit.
        file: of a package, by its name there.

    Raises:
        UserError: no such model, revision or file, no right to read it, no network, or not a
            package of ours.
    """
    with hub_errors(name):
        from huggingface_hub import snapshot_download

        repo, revision = NAME.fullmatch(name).groups()
        found = Path(snapshot_download(repo, revision=revision, allow_patterns=[CONFIG]))
        read_config(found / CONFIG)
        # The commit that the configuration is of, whatever has been uploaded since.
        commit = found.name
        return Path(snapshot_download(repo, revision=commit, allow_patterns=[CONFIG, file]))


@contextmanager
def hub_errors(name: str) -> Iterator[None]:
    """Turn what the hub's client raises into a `UserError` that says what to do."""
    try:
        from httpx2 import HTTPError
        from huggingface_hub import errors
    except ImportError:
        raise UserError(
            f"{name}: names on the hub need huggingface_hub. Install it: pip install 'dfer[hub]'"
        ) from None
    log_in = "Log in with `hf auth login`, or set HF_TOKEN."
    try:
        yield
    except errors.GatedRepoError:
        raise UserError(
            f"{name}: its owner asks you to agree to conditions. Do so on its page. {log_in}"
        ) from None
    except errors.RepositoryNotFoundError:
        raise UserError(
            f"{name}: no such folder here, and no such model on the hub, or none that you may "
            f"see. Mend the name; or if it is private: {log_in[0].lower()}{log_in[1:]}"
        ) from None
    except errors.RevisionNotFoundError:
        raise UserError(
            f"{name}: the model has no such revision. Name a branch, a tag or a commit behind "
            "the @, or leave it out."
        ) from None
    except errors.LocalEntryNotFoundError as error:
        raise UserError(
            f"{name}: no such folder here, and the hub cannot be reached ({_first_line(error)}). "
            "Try again with a network; what has been downloaded once needs none."
        ) from None
    except errors.HFValidationError as error:
        raise UserError(f"{name}: not a name of the hub's ({_first_line(error)}).") from None
    except errors.HfHubHTTPError as error:
        rights = error.response is not None and error.response.status_code in (401, 403)
        raise UserError(
            f"{name}: the hub refuses ({_first_line(error)}). "
            + (log_in if rights else "Try again later.")
        ) from None
    except HTTPError as error:
        raise UserError(
            f"{name}: the hub cannot be reached ({_first_line(error)}). Try again with a network."
        ) from None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
