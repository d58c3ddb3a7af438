/** For tests: the server's tick is half a second, so sessions end one and a half to two seconds after their last sign of life. */
export const sessionTimeoutMs = 1500;
export const tickMs = 500;
/** … and a busy machine may need longer to do so, and to tell. */
export const expiryMaxMs = sessionTimeoutMs + tickMs + 3000;
