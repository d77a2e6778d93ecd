using Chatterbox.Benchmarks;

return await Commands.Create().Parse(args).InvokeAsync();
