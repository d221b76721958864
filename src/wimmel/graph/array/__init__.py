"""NumPy's functions for arrays and tensors alike, as compositions of primitives; tensors' operators call them.

Names, arguments and results are NumPy's. Shapes broadcast and dtypes promote as NumPy's do. Each function gives an
array for arrays, and a tensor, recording, as soon as one argument is a tensor.

`__all__` is what users find as wimmel.add and so on, put together from the lists of the files; to add a function, write
it in the file it belongs to and name it in that file's list.
"""

from wimmel.graph.array import arithmetic, comparison, indexing, padding, products, reductions, shaping
from wimmel.graph.array.arithmetic import *  # noqa: F403  (as below: a static __all__ says what comes)
from wimmel.graph.array.comparison import *  # noqa: F403
from wimmel.graph.array.indexing import *  # noqa: F403
from wimmel.graph.array.indexing import getitem as getitem
from wimmel.graph.array.operators import NUMPY_OPERATORS as NUMPY_OPERATORS
from wimmel.graph.array.padding import *  # noqa: F403
from wimmel.graph.array.products import *  # noqa: F403
from wimmel.graph.array.products import dot as dot
from wimmel.graph.array.reductions import *  # noqa: F403
from wimmel.graph.array.shaping import *  # noqa: F403

__all__: list[str] = []
__all__ += arithmetic.__all__
__all__ += comparison.__all__
__all__ += indexing.__all__
__all__ += padding.__all__
__all__ += products.__all__
__all__ += reductions.__all__
__all__ += shaping.__all__
