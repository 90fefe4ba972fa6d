"""The floating-point operations a model stage must do, from its shapes: matrix products alone, 2 per multiply-add.

Everything else (norms, softmax, activations, resizing) is limited by memory and left out, as is usual. Its time is
measured, so it lowers the share of the machine's rate that a stage reaches.

D is the width, M the MLP's width, h the heads, L the blocks, p the patch side in px, d the projection's width, n the
patches, T = n + 1 the tokens and K the texts.
"""

from __future__ import annotations

from dataclasses import dataclass

from carvid.clip.vision import VisionTower


@dataclass(frozen=True)
class TowerShape:
    """The numbers above for one tower on images of one size."""

    width: int
    mlp: int
    heads: int
    blocks: int
    patch_px: int
    projection: int
    patches: int

    @property
    def tokens(self) -> int:
        return self.patches + 1


def tower_shape(tower: VisionTower, height: int, width: int) -> TowerShape:
    side = tower.patch_size_px
    return TowerShape(
        width=tower.projection.shape[1],
        mlp=tower.blocks[0].fc1.shape[0],
        heads=tower.blocks[0].heads,
        blocks=len(tower.blocks),
        patch_px=side,
        projection=tower.projection.shape[0],
        patches=-(-height // side) * -(-width // side),
    )


def trunk_operations(shape: TowerShape) -> int:
    """f's one pass over a frame: the patches, L - 1 blocks, and the last block up to z.

    Embedding the patches takes 2 n 3p^2 D, a block 2 T D (4 D + 2 M) + 4 T^2 D. In the last block the MLP takes the n
    patch tokens alone, and one pooled token is projected, 2 D d.
    """
    d, m, n, t = shape.width, shape.mlp, shape.patches, shape.tokens
    last = 8 * t * d * d + 4 * t * t * d + 4 * n * d * m
    return _embedding(shape) + (shape.blocks - 1) * _block(shape) + last + 2 * d * shape.projection


def cam_operations(shape: TowerShape, texts: int) -> int:
    """J^T t summed over patches for K texts: the N queries and, if there are background texts, their mean.

    Once: two products with the MLP, 4 n D M. Per text: the half of the MLP that depends on it, 2 n D M; the output
    projection, 2 n D^2; the attention's P^T dO, 2 n T D, and P^T r, 2 n T h; and thin products, one side of which is
    a single row: the projection, 2 d (D + 1), the shares, 2 n D, fc2, 2 D M, the sums of dq and dk, 2 (T + n) D, the
    sums of dv and dS of the CLS token's column, 4 n (D + h), and the three input projections, 6 D^2.

    That the attention is made again instead of kept, 2 n T D for a few texts together, saves memory and is left out.
    """
    d, m, n, t = shape.width, shape.mlp, shape.patches, shape.tokens
    once = 4 * n * d * m
    each = 2 * n * d * m + 2 * n * d * d + 2 * n * t * (d + shape.heads)
    thin = 2 * shape.projection * (d + 1) + 2 * n * d + 2 * d * m + 2 * (t + n) * d + 6 * d * d
    thin += 4 * n * (d + shape.heads)
    return once + texts * (each + thin)


def classifier_operations(shape: TowerShape, images: int) -> int:
    """g on K prompted images: the patches, L - 1 blocks, and the CLS row of the last block.

    The last block projects all tokens (2 T D 3D); CLS alone attends (4 T D), is merged (2 D^2) and goes
    through the MLP (4 D M) and the projection (2 D d).
    """
    d, m, t = shape.width, shape.mlp, shape.tokens
    last = 6 * t * d * d + 4 * t * d + 2 * d * d + 4 * d * m + 2 * d * shape.projection
    return images * (_embedding(shape) + (shape.blocks - 1) * _block(shape) + last)


def _embedding(shape: TowerShape) -> int:
    return 2 * shape.patches * 3 * shape.patch_px**2 * shape.width


def _block(shape: TowerShape) -> int:
    d, t = shape.width, shape.tokens
    return 2 * t * d * (4 * d + 2 * shape.mlp) + 4 * t * t * d
