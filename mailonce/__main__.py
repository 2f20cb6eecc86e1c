"""``python -m mailonce``."""

from mailonce import main
from mailonce.origin import leave_folder

leave_folder()
main()
