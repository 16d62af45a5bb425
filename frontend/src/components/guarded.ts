/** A dialog that a stray click beside it and Escape may close only where nothing in it would be lost. */
export const guarded = (isEmpty: boolean) => ({ closeOnClickOutside: isEmpty, closeOnEscape: isEmpty });
