// A part of a model is fine-tuned in TorchSharp and brought back through TorchSharp.PyBridge.
// dotnet run -- MODEL-FOLDER RECORDING.wav TUNED-FOLDER
using Chatterbox;
using Chatterbox.Audio;
using TorchSharp;
using TorchSharp.PyBridge;
using static TorchSharp.torch;

var (source, tuned) = (args[0], args[2]);
Directory.CreateDirectory(tuned);
foreach (var file in Directory.GetFiles(source))
{
    File.Copy(file, Path.Combine(tuned, Path.GetFileName(file)), overwrite: true);
}

// What a speaker's embedding becomes for T3 is one linear layer. It learns to show the built-in voice as it now shows the recording's.
var model = ChatterboxModel.Load(source);
using var own = tensor(model.BuiltInVoice!.T3.SpeakerEmbedding.ToArray());
using var other = tensor(model.CreateVoice(AudioFile.Load(args[1])).T3.SpeakerEmbedding.ToArray());
model.Dispose();

var path = Path.Combine(tuned, "t3_cfg.safetensors");
using var checkpoint = new Checkpoint(path);
checkpoint.load_safetensors(path);
var (weight, bias) = (checkpoint["cond_enc.spkr_enc.weight"], checkpoint["cond_enc.spkr_enc.bias"]);
using var goal = nn.functional.linear(other, weight, bias).detach();
using var optimizer = optim.Adam([weight, bias], lr: 1e-3);
for (var step = 0; step <= 200; step++)
{
    using var scope = NewDisposeScope();
    var loss = nn.functional.mse_loss(nn.functional.linear(own, weight, bias), goal);
    if (step % 100 == 0)
    {
        Console.WriteLine($"step {step}: loss {loss.item<float>():0.000000}");
    }

    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
}

checkpoint.save_safetensors(path);
using var result = ChatterboxModel.Load(tuned);
var speech = result.Synthesize("Hello there.", result.BuiltInVoice!, new() { Seed = 1 });
WavFile.Write(Path.Combine(tuned, "hello.wav"), speech.Samples.Span, SpeechResult.SampleRate);
Console.WriteLine($"{tuned} speaks: {speech.Duration.TotalSeconds:0.0} s");
