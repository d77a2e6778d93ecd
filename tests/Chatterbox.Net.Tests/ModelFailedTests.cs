using System.Runtime.InteropServices;
using Chatterbox.Audio;
using Chatterbox.Ops;
using Chatterbox.Tests.Models;
using Chatterbox.Tests.Parity;

namespace Chatterbox.Tests;

/// <summary>What libtorch throws, such as for a GPU fault, reaches callers as an error of the library.</summary>
public sealed class ModelFailedTests : IDisposable
{
    private readonly FailingOps _ops = new();
    private readonly ChatterboxModel _model;

    public ModelFailedTests() =>
        _model = ChatterboxModel.Load(
            TinyCheckpoint.Folder,
            new ModelOptions
            {
                Device = "cpu",
                Precision = Precision.Full,
                SelfCheck = false,
                OpsOf = (_, _) => _ops,
            }
        );

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => _model.Dispose();

    [Fact]
    public void Every_way_to_use_a_model_tells_what_failed()
    {
        var recording = AudioFile.Load(Path.Combine(Fixtures.Root, "audio", "jfk_16k_mono.wav"), Cancel);
        var voice = _model.BuiltInVoice!;
        using var stream = _model.OpenStream("Hello there.", voice);
        using var conversion = _model.BeginConversion(recording, voice);
        _ops.Fails = true;
        Fails(() => _model.Synthesize("Hello there.", voice, cancellationToken: Cancel));
        Fails(() => stream.NextChunk(Cancel));
        Fails(() => conversion.ConvertNext(cancellationToken: Cancel));
        Fails(() => _model.CreateVoice(recording));
        Fails(() => ChatterboxModel.Load(TinyCheckpoint.Folder, new ModelOptions { Device = "cpu", OpsOf = (_, _) => _ops }));
    }

    private static void Fails(Func<object?> use)
    {
        var error = Assert.Throws<ModelFailedException>(use);
        Assert.Contains(Assert.IsType<ExternalException>(error.InnerException).Message, error.Message, StringComparison.Ordinal);
    }

    private sealed class FailingOps : TorchOps
    {
        public bool Fails { get; set; }

        public override Tensor Linear(Tensor x, Tensor weight, Tensor? bias) =>
            Fails ? ones(2, 3).reshape(7) : base.Linear(x, weight, bias); // libtorch refuses the shape
    }
}
