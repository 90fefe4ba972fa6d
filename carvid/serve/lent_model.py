"""The one model that all calls share: loaded when the first of them needs it."""

from __future__ import annotations

from threading import Lock

from carvid.engines import EngineModel, load_engine
from carvid.recipe import Recipe


class LentModel:
    """A recipe, and its model once it is needed; any thread may ask for it."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._lock = Lock()
        self._model: EngineModel | None = None
        self.turn = Lock()
        """Held while the model runs: two runs at once would take twice the memory and be no faster."""

    @property
    def is_loaded(self) -> bool:
        return self._model is not None

    def get(self, theta: float | None = None) -> EngineModel:
        """The model, with the recipe's threshold theta or another one.

        Raises UsageError or WeightsError where it cannot be loaded, and tries again at the next call.
        """
        with self._lock:
            if self._model is None:
                self._model = load_engine(self.recipe)
            model = self._model
        return model if theta is None else model.with_settings(theta=float(theta))
