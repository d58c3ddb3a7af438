/** RFC 9113 section 8.2.1: a token without capitals, or one of the pseudo-header fields. */
export const nameForm = /^:?[!#$%&'*+\-.0-9^_`a-z|~]+$/;
export const valueTrouble = /[\0\r\n]|^[ \t]|[ \t]$/;

export const isWellFormed = (name: string, value: string): boolean => nameForm.test(name) && !valueTrouble.test(value);
