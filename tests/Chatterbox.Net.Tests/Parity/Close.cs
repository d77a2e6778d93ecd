namespace Chatterbox.Tests.Parity;

/// <summary>How close is close: relative error = ‖ours − theirs‖ / ‖theirs‖, printed with every check.</summary>
internal static class Close
{
    /// <summary>Fails unless the shapes are equal and the relative error is at most <paramref name="tolerance"/>.</summary>
    public static void Assert(Fixture fixture, string what, Tensor theirs, Tensor ours, double tolerance)
    {
        using var scope = NewDisposeScope();
        Xunit.Assert.Equal(theirs.shape, ours.shape);
        AssertWithin($"{fixture.Name} {what}", RelativeError(theirs, ours), tolerance);
    }

    /// <summary>Prints a relative error, and fails if it is more than <paramref name="bound"/>.</summary>
    public static void AssertWithin(string what, double error, double bound)
    {
        Report($"{what}: relative error {error:E2} (bound {bound:E0})");
        Xunit.Assert.True(error <= bound, $"{what}: relative error {error:E3} exceeds {bound:E0}");
    }

    /// <summary>Fails unless both hold the same integers.</summary>
    public static void AssertEqual(Fixture fixture, string what, Tensor theirs, Tensor ours)
    {
        using var scope = NewDisposeScope();
        var expected = theirs.to(ScalarType.Int64).cpu().flatten().data<long>().ToArray();
        var actual = ours.to(ScalarType.Int64).cpu().flatten().data<long>().ToArray();
        var same = expected.Zip(actual).TakeWhile(pair => pair.First == pair.Second).Count();
        Report($"{fixture.Name} {what}: {expected.Length} integers, {same} equal before the first difference");
        Xunit.Assert.Equal(expected, actual);
    }

    public static double RelativeError(Tensor theirs, Tensor ours)
    {
        using var scope = NewDisposeScope();
        var expected = theirs.to(ScalarType.Float64).cpu().flatten();
        var actual = ours.to(ScalarType.Float64).cpu().flatten();
        return (actual - expected).norm().item<double>() / expected.norm().item<double>();
    }

    public static void Report(string line) => TestContext.Current.TestOutputHelper?.WriteLine(line);
}
