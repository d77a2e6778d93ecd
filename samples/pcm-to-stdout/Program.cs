// Plays while the rest is being generated.  dotnet run -- MODEL "TEXT" | aplay -r 24000 -f S16_LE
using Chatterbox;
using Chatterbox.Audio;
using Chatterbox.Engine;

await using var engine = new SpeechEngine(await ChatterboxModel.LoadAsync(args[0]));
await using var output = Console.OpenStandardOutput();
await foreach (var chunk in engine.StreamAsync(args[1]))
{
    await output.WriteAsync(Pcm16.Encode(chunk.Samples.Span));
    await output.FlushAsync();
}
