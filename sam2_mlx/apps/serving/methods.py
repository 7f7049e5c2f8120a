"""The table of methods: everything an app may ask for."""

from __future__ import annotations

from sam2_mlx.apps.serving import export_methods as exports
from sam2_mlx.apps.serving import file_methods as files
from sam2_mlx.apps.serving import general_methods as general
from sam2_mlx.apps.serving import look_methods as looks
from sam2_mlx.apps.serving import picture_methods as pictures
from sam2_mlx.apps.serving import project_methods as stored
from sam2_mlx.apps.serving import video_methods as videos
from sam2_mlx.apps.serving.method import Method

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        general.hello,
        general.ping,
        general.load_model,
        general.map_,
        general.unmap,
        videos.open_,
        videos.step,
        videos.prompt,
        videos.propagate,
        general.cancel,
        general.credit,
        videos.masks,
        videos.clear,
        videos.remove,
        videos.reset,
        videos.snapshot,
        videos.rollback,
        videos.save,
        videos.restore,
        pictures.set_picture,
        pictures.predict,
        pictures.everything,
        stored.projects,
        stored.open_project,
        stored.save_project,
        exports.export,
        files.browse,
        files.upload,
        looks.frame,
        looks.hover,
        looks.scores,
        general.stats,
        general.close,
        general.shutdown,
    )
}
