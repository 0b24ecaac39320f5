// node run.mjs CLIENT              prints the names of what the client does
// node run.mjs CLIENT BASE [TOKEN] does it, and prints for each name what went wrong, or null
const [client, base, token] = process.argv.slice(2);
const { connect, does } = await import(`./${client}.mjs`);
const results = {};
if (base) {
  const connection = await connect(base, token);
  for (const [name, interaction] of Object.entries(does)) {
    results[name] = await interaction(connection).then(
      () => null,
      (error) => `${error.stack}\n${JSON.stringify(error.outcome ?? error.response?.data ?? null)}`,
    );
  }
}
process.stdout.write(JSON.stringify(base ? results : Object.keys(does)));
