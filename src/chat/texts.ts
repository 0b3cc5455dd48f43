/** All that a room itself says, in one place, so that it can be said in other languages. */

/** The sentences of a room. Names and reasons come in as people wrote them. */
export interface Texts {
  /** Before the replay of the past, to somebody who comes in. */
  history(count: number, since: Date): string;
  /** The same to a device that has been here before. */
  missed(count: number, since: Date): string;
  /** Somebody has given the conference another subject, or none. */
  subject(subject: string | undefined, by: string | undefined): string;
  /** What the subject is, to somebody who comes in. */
  subjectIs(subject: string): string;
}

/** What the rooms say, in English. */
export const ENGLISH: Texts = {
  history: (count, since) => `${messages(count)} of before you came, since ${time(since)}:`,
  missed: (count, since) => `${messages(count)} that you have missed, since ${time(since)}:`,
  subject: (subject, by = 'The room') =>
    subject === undefined ? `${by} has taken the subject away.` : `${by} has set the subject: ${subject}`,
  subjectIs: (subject) => `The subject is: ${subject}`,
};

const messages = (count: number): string => (count === 1 ? 'One message' : `${count} messages`);

/** To the minute, in UTC: the room does not know where its people are. */
const time = (date: Date): string => `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
