using Chatterbox.Models;
using Chatterbox.Voices;

namespace ConvertWeights.Tests;

/// <summary><c>voice</c>.</summary>
public sealed class VoiceTests : IDisposable
{
    private static readonly string Recording = Path.Combine(Cli.Fixtures, "audio", "jfk_16k_mono.wav");

    private readonly Cli _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task A_voice_is_made_shown_and_carried_to_Python_and_back()
    {
        var (made, conds, back) = (_cli.In("jfk.safetensors"), _cli.In("conds.pt"), _cli.In("back.safetensors"));
        var said = await Cli.RunAsync(
            "voice",
            "make",
            Recording,
            "--out",
            made,
            "--model",
            Cli.Tiny,
            "--language",
            "en",
            "--consent",
            "public domain",
            "--json"
        );
        Assert.Equal(0, said.Code);
        said = await Cli.RunAsync("voice", "inspect", made, "--json");
        Assert.Equal(
            ("jfk_16k_mono", "en", "tiny", "public domain", ContentHash.Sha256(Recording)),
            (
                said.Json.GetProperty("name").GetString(),
                said.Json.GetProperty("language").GetString(),
                said.Json.GetProperty("model").GetString(),
                said.Json.GetProperty("consent").GetString(),
                said.Json.GetProperty("sourceSha256").GetString()
            )
        );
        Assert.InRange(said.Json.GetProperty("bytes").GetInt64(), 1, 300_000);

        Assert.Equal(0, (await Cli.RunAsync("voice", "convert", made, "--out", conds, "--exaggeration", "0.75")).Code);
        Assert.Equal(0, (await Cli.RunAsync("voice", "convert", conds, "--out", back, "--name", "JFK")).Code);
        Assert.Equal(0, (await Cli.RunAsync("diff", made, back)).Code);
        Assert.Equal("JFK", VoiceFile.Load(back).Info.Name);
        said = await Cli.RunAsync("inspect", conds, "--json");
        var tensors = said
            .Json.GetProperty("files")[0]
            .GetProperty("tensors")
            .EnumerateArray()
            .ToDictionary(t => t.GetProperty("name").GetString()!);
        Assert.Equal(7, tensors.Count);
        Assert.Equal(0.75, tensors["t3.emotion_adv"].GetProperty("statistics").GetProperty("mean").GetDouble());
        Assert.Equal("I64", tensors["gen.prompt_token"].GetProperty("dType").GetString());
        Assert.Equal("None", said.Json.GetProperty("files")[0].GetProperty("notes").GetProperty("t3.clap_emb").GetString());
    }

    [Fact]
    public async Task For_people_a_voice_says_whose_it_is()
    {
        var said = await Cli.RunAsync("voice", "inspect", Path.Combine(Cli.Tiny, "voice.safetensors"));
        Assert.Equal(0, said.Code);
        Assert.Matches(@"name +tiny \(synthetic\)", said.Output);
        Assert.Contains("2.0 s of speech for T3", said.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_is_no_voice_or_no_recording_is_refused_with_a_reason()
    {
        var text = _cli.In("a.safetensors");
        File.WriteAllText(text, "no voice");
        Assert.Contains("not a sound safetensors file", (await Cli.RunAsync("voice", "inspect", text)).Error, StringComparison.Ordinal);
        var said = await Cli.RunAsync("voice", "make", _cli.In("none.wav"), "--out", _cli.In("v.safetensors"), "--model", Cli.Tiny);
        Assert.Equal(2, said.Code);
        Assert.Contains("none.wav", said.Error, StringComparison.Ordinal);
        said = await Cli.RunAsync("voice", "make", Recording, "--out", _cli.In("v.safetensors"), "--model", "nonsense");
        Assert.Equal(2, said.Code);
        Assert.Contains("'nonsense' is neither a folder nor one of", said.Error, StringComparison.Ordinal);
        said = await Cli.RunAsync(
            "voice",
            "convert",
            Path.Combine(Cli.Tiny, "voice.safetensors"),
            "--out",
            _cli.In("no/such/folder/conds.pt")
        );
        Assert.Equal(2, said.Code);
    }
}
