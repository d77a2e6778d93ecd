using Chatterbox.Engine;
using Chatterbox.Tests.Models;

namespace Chatterbox.Tests.Streaming;

/// <summary>Speech by the chunk on the tiny models: what a caller can count on, whatever the weights.</summary>
public sealed class SpeechStreamTests
{
    private const string Text = "The quick brown fox jumps over the lazy dog.";

    public static TheoryData<string> Models => ["tiny", "tiny-multilingual", "tiny-turbo", "tiny-nano"];

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory, MemberData(nameof(Models))]
    public void One_chunk_of_everything_is_the_whole(string name)
    {
        using var model = Load(name);
        var whole = model.Synthesize(Text, model.BuiltInVoice!, new() { Seed = 3 });
        using var stream = model.OpenStream(Text, model.BuiltInVoice!, new() { Seed = 3 }, new() { FirstTokens = 1000, MostTokens = 1000 });
        Assert.Equal(whole.Samples, stream.NextChunk(Cancel));
        Assert.True(stream.IsOver);
        Assert.Equal(whole.SpeechTokens, stream.SpeechTokens);
        Assert.Equal((whole.TextTokens, whole.ReachedLimit), (stream.TextTokens, stream.ReachedLimit));
        Assert.Throws<InvalidOperationException>(() => stream.NextChunk(Cancel));
    }

    [Theory, MemberData(nameof(Models))]
    public void Chunks_are_as_planned_and_as_long_as_the_whole_together(string name)
    {
        using var model = Load(name);
        var whole = model.Synthesize(Text, model.BuiltInVoice!, new() { Seed = 3 });
        using var stream = model.OpenStream(Text, model.BuiltInVoice!, new() { Seed = 3 }, new() { FirstTokens = 2 });
        var chunks = Rest(stream);
        Assert.Equal(whole.SpeechTokens, stream.SpeechTokens);
        Assert.Equal(whole.Samples.Length, chunks.Sum(chunk => chunk.Length));
        Assert.InRange(chunks.Count, 3, 6);
        Assert.InRange(chunks[0].Length, 2 * 960, 3 * 960); // the lag is rounded up to tokens
        Assert.InRange(chunks[1].Length, 3 * 960, 5 * 960);
        Assert.All(chunks.SelectMany(chunk => chunk), sample => Assert.InRange(sample, -1.5f, 1.5f));
        Assert.All(chunks[0][..480], sample => Assert.InRange(sample, -0.05f, 0.05f)); // faded in, then marked
    }

    [Fact]
    public void The_same_seed_and_sizes_give_the_same_chunks()
    {
        using var model = Load("tiny");
        var first = Rest(model.OpenStream(Text, model.BuiltInVoice!, new() { Seed = 5 }, new() { FirstTokens = 4 }));
        Assert.Equal(first, Rest(model.OpenStream(Text, model.BuiltInVoice!, new() { Seed = 5 }, new() { FirstTokens = 4 })));
        Assert.NotEqual(first, Rest(model.OpenStream(Text, model.BuiltInVoice!, new() { Seed = 6 }, new() { FirstTokens = 4 })));
    }

    [Theory, InlineData(1), InlineData(2), InlineData(19), InlineData(20), InlineData(24)]
    public void The_shortest_speech_is_spoken_whole_however_it_is_cut(int tokens)
    {
        using var model = Load("tiny-turbo"); // all its tokens are sound but two
        using var stream = model.OpenStream(
            Text,
            model.BuiltInVoice!,
            new() { Seed = 1, MaxSpeechTokens = tokens },
            new() { FirstTokens = 1 }
        );
        var samples = Rest(stream).SelectMany(chunk => chunk).ToArray();
        Assert.True(stream.ReachedLimit);
        Assert.InRange(stream.SpeechTokens.Count, 1, tokens);
        Assert.Equal((stream.SpeechTokens.Count + 3) * 960, samples.Length); // and three of silence
        Assert.All(samples, sample => Assert.True(float.IsFinite(sample)));
    }

    [Fact]
    public void A_voice_whose_mel_has_a_frame_more_than_its_tokens_speaks_a_frame_less()
    {
        using var model = Load("tiny");
        var voice = model.BuiltInVoice!;
        voice = voice with { S3Gen = voice.S3Gen with { Mel = [.. voice.S3Gen.Mel, .. voice.S3Gen.Mel.Take(80)] } };
        var whole = model.Synthesize(Text, voice, new() { Seed = 3 });
        Assert.Equal(
            whole.Samples.Length,
            Rest(model.OpenStream(Text, voice, new() { Seed = 3 }, new() { FirstTokens = 4 })).Sum(chunk => chunk.Length)
        );
    }

    [Fact]
    public void Streams_take_turns_and_do_not_hear_each_other()
    {
        using var model = Load("tiny");
        var alone = Enumerable.Range(0, 3).Select(seed => Rest(Open(seed))).ToList();
        var streams = Enumerable.Range(0, 3).Select(Open).ToList();
        var turns = streams.Select(_ => new List<float[]>()).ToList();
        while (streams.Any(stream => !stream.IsOver))
        {
            foreach (var (i, stream) in streams.Index().Where(s => !s.Item.IsOver))
            {
                turns[i].Add(stream.NextChunk(Cancel).ToArray());
            }
        }

        streams.ForEach(stream => stream.Dispose());
        Assert.Equal(alone, turns);

        IChunkedSpeech Open(int seed) => model.OpenStream(Text, model.BuiltInVoice!, new() { Seed = seed }, new() { FirstTokens = 4 });
    }

    [Fact]
    public void A_stream_can_be_left_after_any_chunk_and_leaves_nothing()
    {
        using var model = Load("tiny");
        Rest(Open());
        var before = Tensor.TotalCount;
        for (var chunks = 0; chunks < 6; chunks++)
        {
            using (var stream = Open())
            {
                for (var i = 0; i < chunks && !stream.IsOver; i++)
                {
                    stream.NextChunk(Cancel);
                }
            }

            Assert.Equal(before, Tensor.TotalCount);
        }

        IChunkedSpeech Open() => model.OpenStream(Text, model.BuiltInVoice!, new() { Seed = 1 }, new() { FirstTokens = 4 });
    }

    [Theory, InlineData(0), InlineData(1), InlineData(2)]
    public void Cancelling_ends_the_next_chunk(int chunks)
    {
        using var model = Load("tiny");
        Open().Dispose(); // the model keeps something of the last voice
        var before = Tensor.TotalCount;
        using (var stream = Open())
        {
            for (var i = 0; i < chunks; i++)
            {
                stream.NextChunk(Cancel);
            }

            Assert.ThrowsAny<OperationCanceledException>(() => stream.NextChunk(new CancellationToken(canceled: true)));
        }

        Assert.Equal(before, Tensor.TotalCount);

        IChunkedSpeech Open() => model.OpenStream(Text, model.BuiltInVoice!, new() { Seed = 1 }, new() { FirstTokens = 4 });
    }

    [Fact]
    public void What_cannot_be_spoken_is_refused_at_once_and_leaves_nothing()
    {
        using var model = Load("tiny");
        model.OpenStream(Text, model.BuiltInVoice!).Dispose(); // the model's speed is measured, and the speaker's rows are kept
        var before = Tensor.TotalCount;
        Assert.Throws<RequestException>(() => model.OpenStream("?!", model.BuiltInVoice!));
        Assert.Throws<RequestException>(() => model.OpenStream(Text, model.BuiltInVoice!, new() { Temperature = 9 }));
        Assert.Throws<RequestException>(() => model.OpenStream(Text, model.BuiltInVoice!, chunks: new() { FirstTokens = 0 }));
        Assert.Throws<VoiceException>(() => model.OpenStream(Text, model.BuiltInVoice! with { T3 = new([1], []) }));
        Assert.Equal(before, Tensor.TotalCount);
    }

    private static ChatterboxModel Load(string name) =>
        ChatterboxModel.Load(TinyCheckpoint.FolderOf(name), new ModelOptions { Device = "cpu" });

    private static List<float[]> Rest(IChunkedSpeech stream)
    {
        using (stream)
        {
            var chunks = new List<float[]>();
            while (!stream.IsOver)
            {
                chunks.Add(stream.NextChunk(Cancel).ToArray());
            }

            return chunks;
        }
    }
}
