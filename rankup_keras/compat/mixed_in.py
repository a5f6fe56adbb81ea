"""What mixins of Keras's classes derive from."""

from typing import TYPE_CHECKING

# To the type checker a class of Keras, whose methods `super()` calls; in truth no class at all,
# or a mixin would come with a base that its model already has.
if TYPE_CHECKING:
    from keras import Model as MixedIn
else:
    MixedIn = object

__all__ = ["MixedIn"]
