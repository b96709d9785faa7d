using KQuant.Cli;

return await CommandLine.RunAsync(args).ConfigureAwait(false);
