"""The service set_prompt: what is to be seen from the next frame on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spatia_ros.nodes.part import Part
from spatia_ros.srv import SetPrompt

if TYPE_CHECKING:
    from spatia_ros.nodes.world_node import WorldFace


class Prompt(Part):
    """Hands words to the world; the generator says which of them it does not understand."""

    def __init__(self, face: WorldFace) -> None:
        self._face = face
        face.serve(SetPrompt, "set_prompt", self._set)

    def _set(self, request: SetPrompt.Request, response: SetPrompt.Response) -> str:
        world = self._face.world
        response.previous = world.prompt
        world.ask(request.prompt)
        return ""
