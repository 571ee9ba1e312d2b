// Gradio's page hears its answers on one stream, which the server ends with the last answer that it owes. A page that is told the number of its next
// request before it has heard of that end would wait on a stream that is closed, for ever. So its stream has no end here: the next one is joined to it
// as soon as something is owed. What is owed for long is said in words, and so is a file that is being sent. What is cancelled before its number was
// told is cancelled once it is, and what is asked after that waits until the server has heard of it: else the last word of what was cancelled could
// come after "Cancelled".
(page = window) => {
  const ask = page.fetch.bind(page);
  const told = /^data: *\{"msg": *"(process_completed|close_stream)"(?:, *"event_id": *"(\w+)")?/;
  const owed = new Set(); // numbers of requests that are not answered
  const early = new Set(); // of requests that were answered before their number was told
  const queueing = new Map(); // by the number of a function: a promise of the answer to its latest request, and of the request's number
  let cancelled = Promise.resolve(); // once the server has heard of all that was cancelled
  let sending = 0; // files that are on their way
  let next; // joins the next stream, where the last one has ended
  let late = 0; // timer of the sign that something is owed for long

  const showOwed = () => {
    if (owed.size) late ||= setTimeout(() => page.document.body.classList.add("rg-busy"), 500);
    else {
      clearTimeout(late);
      late = 0;
      page.document.body.classList.remove("rg-busy");
    }
  };

  page.fetch = async (input, init) => {
    const path = new URL(input.url ?? input, page.location).pathname;
    if (path.endsWith("/queue/data")) return endless(() => ask(new Request(input, init)));
    if (path.endsWith("/upload")) return send(input, init);
    if (path.endsWith("/cancel")) return cancel(input, init);
    if (path.endsWith("/reset")) return new Response(); // at which the server does nothing, and that it refuses without a number
    if (!path.endsWith("/queue/join")) return ask(input, init);
    const queued = queue(input, init);
    queueing.set(JSON.parse(init.body).fn_index, queued);
    return (await queued).answer;
  };

  const queue = async (input, init) => {
    await cancelled;
    const answer = await ask(input, init);
    if (!answer.ok) return { answer };
    const { event_id: number } = await answer.clone().json();
    if (!early.delete(number)) owed.add(number);
    showOwed();
    if (owed.size) next?.();
    return { answer, number };
  };

  const send = async (input, init) => {
    const show = (change) => page.document.querySelector("#open-file")?.setAttribute("aria-busy", String((sending += change) > 0));
    show(1);
    try {
      return await ask(input, init);
    } finally {
      show(-1);
    }
  };

  const cancel = (input, init) => {
    const answer = numbered(JSON.parse(init.body)).then((body) => ask(input, { ...init, body: JSON.stringify(body) }));
    cancelled = Promise.allSettled([cancelled, answer]);
    return answer;
  };

  const numbered = async (said) => ({ ...said, event_id: said.event_id ?? (await queueing.get(said.fn_index)).number });

  const endless = async (open) => {
    const first = await open();
    if (!first.ok) return first;
    const out = new TransformStream();
    const fail = (error) => out.writable.abort(error).catch(() => {}); // it has failed before
    const join = async (stream) => {
      if (!stream.ok) throw new Error(`The answers cannot be heard: ${stream.status}`);
      const read = stream.body.pipeThrough(new TextDecoderStream()).pipeThrough(lines());
      await read.pipeThrough(new TextEncoderStream()).pipeTo(out.writable, { preventClose: true });
      next = () => {
        next = undefined;
        open().then(join).catch(fail);
      };
      if (owed.size) next();
    };
    join(first).catch(fail);
    return new Response(out.readable, { status: first.status, headers: first.headers });
  };

  // Text as it comes to whole lines, without those that tell of a stream's end.
  const lines = () => {
    let rest = [];
    return new TransformStream({
      transform(text, out) {
        const parts = text.split("\n");
        for (const part of parts.slice(0, -1)) {
          const line = [...rest, part].join("");
          rest = [];
          const [, what, number] = told.exec(line) ?? [];
          if (what === "process_completed") {
            if (!owed.delete(number)) early.add(number);
            showOwed();
          }
          if (what !== "close_stream") out.enqueue(`${line}\n`);
        }
        rest.push(parts.at(-1));
      },
    });
  };
}
