// Which help topic is open; "" none.
export const help = $state({ topic: "" });
