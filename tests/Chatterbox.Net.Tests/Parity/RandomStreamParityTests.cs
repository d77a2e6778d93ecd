namespace Chatterbox.Tests.Parity;

public class RandomStreamParityTests
{
    public static TheoryData<string> Files => Fixtures.All("rng");

    [Theory, MemberData(nameof(Files))]
    public void Same_seed_gives_the_same_numbers_in_the_same_order(string path)
    {
        using var golden = Fixture.Open(path);
        using var noise = new NoiseSource(golden.Integer("seed"));
        using var scope = NewDisposeScope();

        AssertSameBits("randn", noise.Normal([80, 7]));
        AssertSameBits("rand", noise.Uniform(0, 1, [9]));
        AssertSameBits("randn5", noise.Normal([5]));
        var probabilities = softmax(linspace(-3, 3, 8194), -1).unsqueeze(0);
        Close.AssertEqual(
            golden,
            "multinomial",
            golden["multinomial"],
            cat(Enumerable.Range(0, 16).Select(_ => noise.Multinomial(probabilities)).ToArray(), 1)
        );
        AssertSameBits("uniform", noise.Uniform(-Math.PI, Math.PI, [1, 9, 1]));
        AssertSameBits("randn_long", noise.Normal([1, 9, 1000]));

        void AssertSameBits(string name, Tensor ours) => Close.Assert(golden, name, golden[name], ours, 0);
    }
}
