using Chatterbox.Models;
using Chatterbox.Weights;
using TorchSharp.PyBridge;

namespace Chatterbox.Tests.Weights;

/// <summary>Files that TorchSharp.PyBridge writes are read here, and ours are read there.</summary>
public sealed class PyBridgeTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("chatterbox-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Safetensors_that_it_saves_are_read()
    {
        using var module = Module();
        var path = Path.Combine(_folder, "module.safetensors");
        module.save_safetensors(path);
        using var file = SafetensorsFile.Open(path);
        AssertSame(module, file);
    }

    [Fact]
    public void Safetensors_of_ours_are_read_by_it()
    {
        using var written = Module();
        var path = Path.Combine(_folder, "ours.safetensors");
        SafetensorsWriter.Write(path, written.state_dict().Select(tensor => TensorToWrite.From(tensor.Key, tensor.Value)));
        using var read = Module();
        read.load_safetensors(path);
        foreach (var (name, value) in read.state_dict())
        {
            Assert.Equal(written.state_dict()[name].bytes.ToArray(), value.bytes.ToArray());
        }
    }

    [Fact]
    public void Torch_archives_that_it_saves_are_read()
    {
        using var module = Module();
        var path = Path.Combine(_folder, "module.pt");
        module.save_py(path);
        using var file = TorchFile.Open(path);
        AssertSame(module, file);
    }

    [Fact]
    public void A_T3_that_it_saved_loads_as_a_model()
    {
        var model = Path.Combine(_folder, "model");
        SyntheticCheckpoint.Write("tiny", model);
        var original = Path.Combine(model, "t3_cfg.safetensors");
        using var tuned = new StateDict();
        using (var file = SafetensorsFile.Open(original))
        {
            foreach (var name in file.Tensors.Keys)
            {
                tuned.Add(name, file.Read(name));
            }
        }

        using (no_grad())
        {
            tuned.Values["speech_emb.weight"].neg_();
        }

        var before = Speak(model);
        tuned.save_safetensors(original);
        var after = Speak(model);
        Assert.NotEqual(before, after);
        Assert.Equal(after, Speak(model));
    }

    private static float[] Speak(string folder)
    {
        using var model = ChatterboxModel.Load(folder, new ModelOptions { Device = "cpu", Precision = Precision.Full });
        return model
            .Synthesize("Hello there.", model.BuiltInVoice!, new SamplingOptions { Seed = 1, MaxSpeechTokens = 20 })
            .Samples.ToArray();
    }

    private static nn.Module<Tensor, Tensor> Module() =>
        nn.Sequential(("first", nn.Linear(7, 5)), ("norm", nn.BatchNorm1d(5)), ("last", nn.Linear(5, 3, hasBias: false)));

    private static void AssertSame(nn.Module module, ITensorSource file)
    {
        var expected = module.state_dict();
        Assert.Equal(expected.Keys.Order(), file.Tensors.Keys.Order());
        foreach (var (name, value) in expected)
        {
            using var read = file.Read(name);
            Assert.Equal(value.shape, read.shape);
            Assert.Equal(value.bytes.ToArray(), read.bytes.ToArray());
        }
    }

    /// <summary>A module that has tensors by any names, as a checkpoint has.</summary>
    private sealed class StateDict() : nn.Module("state")
    {
        public Dictionary<string, Tensor> Values { get; } = [];

        public void Add(string name, Tensor value) => Values.Add(name, value);

        public override Dictionary<string, Tensor> state_dict(Dictionary<string, Tensor>? destination = null, string? prefix = null) =>
            Values;
    }
}
