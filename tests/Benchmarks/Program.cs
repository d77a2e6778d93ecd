using System.Diagnostics;
using System.Globalization;
using Chatterbox;
using Chatterbox.Audio;
using Chatterbox.Benchmarks;
using static Chatterbox.Benchmarks.Report;

// Loads a checkpoint, makes a voice and speaks once, in a fresh process; prints what each took and the peak of memory.
// Or measures T3 alone, speech by the chunk, what the left context of chunks costs, what the service adds to a model's own
// time, or the memory of several models in one service.
switch (args)
{
    case ["t3", var variant, .. var rest]:
        T3Benchmark.Run(variant, rest.FirstOrDefault());
        return 0;
    case ["voice", var flow, .. var where]:
        VoiceBenchmark.Run(flow, where.FirstOrDefault());
        return 0;
    case ["chunks", var folder, .. var rest]:
        await ChunkBenchmark.Run(folder, rest.FirstOrDefault(), Tokens(rest.Skip(1), 250));
        return 0;
    case ["context", var folder, .. var rest]:
        ContextBenchmark.Run(folder, rest.FirstOrDefault(), Tokens(rest.Skip(1), 500));
        return 0;
    case ["service"]:
        await ServiceBenchmark.Run();
        return 0;
    case ["service-host"]:
        return await ServiceBenchmark.Serve();
    case ["stream", var served, .. var rest]:
        await StreamBenchmark.Run(served, rest.FirstOrDefault());
        return 0;
    case ["stream-host", var served, var device, var voices]:
        return await StreamBenchmark.Serve(served, device, voices);
    case ["fleet", var models]:
        await FleetBenchmark.Run(models);
        return 0;
    case ["fleet-host", var models]:
        return await FleetBenchmark.Serve(models);
    case { Length: < 1 or > 3 }:
        Console.Error.WriteLine("usage: Benchmarks FOLDER [RECORDING] [SPEECH_TOKENS], or: Benchmarks t3 VARIANT [DEVICE], or: Benchmarks voice VARIANT [DEVICE], or: Benchmarks chunks FOLDER [DEVICE] [SPEECH_TOKENS], or: Benchmarks context FOLDER [DEVICE] [SPEECH_TOKENS], or: Benchmarks service, or: Benchmarks stream MODEL [DEVICE], or: Benchmarks fleet MODELS");
        return 2;
}

var bytes = Directory.GetFiles(args[0]).Sum(file => new FileInfo(file).Length);
var watch = Stopwatch.StartNew();
using var model = ChatterboxModel.Load(args[0], new ModelOptions { Device = Environment.GetEnvironmentVariable("DEVICE") });
Print($"load: {watch.Elapsed.TotalSeconds:0.00} s for {bytes / 1e9:0.00} GB, peak resident memory {PeakBytes() / 1e9:0.00} GB, {PeakBytes() / (double)bytes:0.00} of the checkpoint");

var voice = model.BuiltInVoice!;
if (args.Length > 1)
{
    var recording = AudioFile.Load(args[1]);
    watch.Restart();
    voice = model.CreateVoice(recording);
    Print($"voice: {watch.Elapsed.TotalSeconds:0.00} s for {recording.Duration.TotalSeconds:0.0} s of recording");
}

var tokens = args.Length > 2 ? int.Parse(args[2], CultureInfo.InvariantCulture) : 25;
var stages = new Stages();
var speech = model.Synthesize("The quick brown fox jumps over the lazy dog.", voice, new SamplingOptions { Seed = 1, MaxSpeechTokens = tokens }, progress: stages);
Print($"speech: {speech.SpeechTokens.Count} tokens, {speech.Duration.TotalSeconds:0.00} s of speech");
foreach (var (stage, seconds) in stages.Seconds)
{
    Print($"  {stage}: {seconds:0.00} s");
}

Print($"peak resident memory at the end: {PeakBytes() / 1e9:0.00} GB");
return 0;

static int Tokens(IEnumerable<string> rest, int otherwise) => rest.FirstOrDefault() is { } tokens ? int.Parse(tokens, CultureInfo.InvariantCulture) : otherwise;

static long PeakBytes() => Process.GetCurrentProcess().PeakWorkingSet64;

/// <summary>Times the stages by the reports between them.</summary>
internal sealed class Stages : IProgress<SynthesisProgress>
{
    private readonly Stopwatch _watch = Stopwatch.StartNew();
    private SynthesisStage _current = SynthesisStage.T3;

    public Dictionary<SynthesisStage, double> Seconds { get; } = [];

    public void Report(SynthesisProgress value)
    {
        // A stage reports while it works or, the short ones, as they begin.
        var finished = value.Stage is SynthesisStage.T3 or SynthesisStage.S3Gen ? value.Stage : _current;
        Seconds[finished] = Seconds.GetValueOrDefault(finished) + _watch.Elapsed.TotalSeconds;
        _watch.Restart();
        _current = value.Stage;
    }
}
