using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Chatterbox.Audio;
using Chatterbox.Models;
using Chatterbox.Text;
using Chatterbox.Weights;

namespace Chatterbox.Benchmarks;

/// <summary>What runs on the CPU whatever the device.</summary>
[MemoryDiagnoser]
public class CpuBenchmarks : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("chatterbox-benchmark-").FullName;
    private readonly AudioClip _recording = FullSize.Recording();
    private TextFrontEnd? _text;

    /// <summary>Runs all of them and prints BenchmarkDotNet's table.</summary>
    public static void Run() =>
        // libtorch lies beside this program, not beside a generated one
        BenchmarkRunner.Run<CpuBenchmarks>(DefaultConfig.Instance.AddJob(Job.ShortRun.WithToolchain(InProcessEmitToolchain.Instance)));

    [GlobalSetup]
    public void Prepare()
    {
        SyntheticCheckpoint.Write("tiny", _folder);
        var checkpoint = Checkpoint.Open(_folder, null, null);
        _text = TextFrontEnd.Load(checkpoint.Config.Text, checkpoint.TokenizerPath, checkpoint.CangjiePath, null, null);
    }

    [GlobalCleanup]
    public void Dispose()
    {
        Directory.Delete(_folder, recursive: true);
        GC.SuppressFinalize(this);
    }

    [Benchmark(Description = "text to tokens, 122 characters")]
    public int Tokenise() => _text!.Encode(FullSize.Text, null).Tokens.Length;

    [Benchmark(Description = "10 s from 48 to 24 kHz")]
    public int Resample() => Resampler.Resample(_recording.Samples.Span, 48000, 24000).Length;

    [Benchmark(Description = "a tiny checkpoint's S3Gen, opened and read")]
    public long ReadWeights()
    {
        using var file = Checkpoint.OpenFile(Path.Combine(_folder, "s3gen.safetensors"));
        var count = 0L;
        foreach (var name in file.Tensors.Keys)
        {
            using var tensor = file.Read(name);
            count += tensor.numel();
        }

        return count;
    }

    [Benchmark(Description = "10 s of samples to a WAV file")]
    public long WriteWav()
    {
        using var stream = new MemoryStream();
        WavFile.Write(stream, _recording.Samples.Span, 48000);
        return stream.Length;
    }
}
