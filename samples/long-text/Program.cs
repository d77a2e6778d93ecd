// A text file becomes an MP3 file, with progress.  dotnet run -- MODEL TEXT OUTPUT
using Chatterbox;
using Chatterbox.Audio;
using Chatterbox.Engine;

var (name, text, output) = (args[0], await File.ReadAllTextAsync(args[1]), args[2]);
using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, pressed) => { pressed.Cancel = true; stop.Cancel(); };

try
{
    var loading = new Progress<double>(part => Console.Error.WriteLine($"loading {part:P0}"));
    await using var engine = new SpeechEngine(await ChatterboxModel.LoadAsync(name, progress: loading, cancellationToken: stop.Token));
    var progress = new Progress<double>(part => Console.Error.WriteLine($"speaking {part:P0}"));
    var speech = await engine.SynthesizeAsync(text, sampling: new() { Seed = 1 }, progress: progress, cancellationToken: stop.Token);

    using var codecs = new AudioCodecs();
    await using var file = File.Create(output);
    await codecs.WriteAsync(file, speech.Samples, AudioFormat.OfFile(output), cancellationToken: stop.Token);
    Console.WriteLine($"{output}: {speech.Pieces.Count} pieces, {speech.Duration.TotalSeconds:0.0} s");
}
catch (ChatterboxException e)
{
    Console.Error.WriteLine(e.Message);     // what was wrong and how to put it right
    Environment.ExitCode = 1;
}
