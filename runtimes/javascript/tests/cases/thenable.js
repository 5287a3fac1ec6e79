export const main = () => ({ then: (done) => done("late") });
