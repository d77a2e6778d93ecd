using Chatterbox.Tests.Models;

namespace Chatterbox.Tests;

/// <summary>What the variants of the family differ in, on the tiny model of each.</summary>
public sealed class FamilyTests(FamilyTests.Family family) : IClassFixture<FamilyTests.Family>
{
    private const string Text = "The quick brown fox jumps over the lazy dog.";
    private const int SamplesPerToken = 960;

    [Theory]
    [InlineData("tiny-multilingual", -1)]   // the last token is noise
    [InlineData("tiny-turbo", 3)]           // three tokens of silence
    [InlineData("tiny-nano", 3)]
    public void Each_variant_stops_by_itself_and_ends_in_its_own_way(string name, int moreTokens)
    {
        var watch = System.Diagnostics.Stopwatch.StartNew();
        var model = family[name];
        foreach (var text in new[] { "Hi.", Text, string.Join(' ', Enumerable.Repeat(Text, 9)) })
        {
            for (var seed = 0; seed < 3; seed++)
            {
                var speech = model.Synthesize(text, model.BuiltInVoice!, new SamplingOptions { Seed = seed });
                TestContext.Current.TestOutputHelper!.WriteLine($"{name} {text.Length} {seed}: {speech.SpeechTokens} {watch.Elapsed}");
                Assert.False(speech.ReachedLimit);
                Assert.InRange(speech.SpeechTokens, 10, 90);
                Assert.Equal((speech.SpeechTokens + moreTokens) * SamplesPerToken, speech.Samples.Length);
                Assert.True(speech.Samples.Max(Math.Abs) > 1e-4f);
            }
        }
    }

    public sealed class Family : IDisposable
    {
        private readonly Dictionary<string, ChatterboxModel> _models = [];

        public ChatterboxModel this[string name] => _models.TryGetValue(name, out var model)
            ? model
            : _models[name] = ChatterboxModel.Load(TinyCheckpoint.FolderOf(name), new ModelOptions { Device = "cpu" });

        public void Dispose()
        {
            foreach (var model in _models.Values)
            {
                model.Dispose();
            }
        }
    }
}
