using KQuant.Cli;

return await KQuantCommand.RunAsync(args).ConfigureAwait(false);
