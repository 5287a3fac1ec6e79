export const preprocessor = (event) => ({ name: event.body.user, from: event.kind });
export const main = (name, from) => `${name} from ${from}`;
