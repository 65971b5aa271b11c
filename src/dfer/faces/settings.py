"""How faces are found and landmarks placed, as far as all backends share it."""

from dataclasses import dataclass

from dfer.errors import UserError


@dataclass(frozen=True)
class LandmarkSettings:
    """A backend by name (`dfer.faces.backends`), and how it follows a face.

    The backend never depends on what happens to be installed.
    """

    backend: str
    every: int = 8  # detect in every n-th frame, carry the box between
    min_face_share: float = 0.3  # reject a clip that shows a face in a smaller share of its frames

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        every, share = self.every, self.min_face_share
        if type(every) is not int or every < 1:
            raise UserError(
                f"landmark settings: every is {every!r}; give a whole number from 1 on."
            )
        if type(share) not in (int, float) or not 0 < share <= 1:
            raise UserError(
                f"landmark settings: min_face_share is {share!r}; give a share above 0, at most 1."
            )
