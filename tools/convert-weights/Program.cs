using System.CommandLine;
using Chatterbox;
using ConvertWeights;

var root = new RootCommand("Makes and checks checkpoints of Chatterbox text-to-speech, without Python.")
{
    SynthesizeCommand.Create(),
};

try
{
    return await root.Parse(args).InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
}
catch (ChatterboxException e)
{
    await Console.Error.WriteLineAsync(e.Message);
    return 1;
}
catch (OperationCanceledException)
{
    await Console.Error.WriteLineAsync("Cancelled.");
    return 130;
}
