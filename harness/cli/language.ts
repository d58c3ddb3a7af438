/** The languages that Flyball speaks to people. */
export const languages = ["en", "zh"] as const;
export type Language = (typeof languages)[number];

/** Chinese where the system's language is, else English. */
export function systemLanguage(): Language {
  const { LC_ALL, LC_MESSAGES, LANG } = process.env;
  return [LC_ALL, LC_MESSAGES, LANG].find((value) => value !== undefined && value !== "")?.startsWith("zh") === true
    ? "zh"
    : "en";
}
