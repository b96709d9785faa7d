using System.CommandLine;

return new RootCommand("Quantize, inspect, verify and run GGUF and MLX models in pure managed code.").Parse(args).Invoke();
