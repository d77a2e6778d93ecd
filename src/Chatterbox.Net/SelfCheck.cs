namespace Chatterbox;

/// <summary>What a model found as it was loaded, when it checked the device's arithmetic against known answers.</summary>
/// <param name="Operations">One for each operation and element type that was checked; none where the check was turned off.</param>
/// <param name="Duration">Time that the check took.</param>
public sealed record SelfCheck(IReadOnlyList<CheckedOperation> Operations, TimeSpan Duration)
{
    /// <summary>The result where the check was turned off.</summary>
    public static SelfCheck TurnedOff { get; } = new([], TimeSpan.Zero);

    /// <summary>Operations that were wrong, and for which another way is used.</summary>
    public IEnumerable<CheckedOperation> Replaced => Operations.Where(operation => !operation.Passed);
}

/// <summary>One operation that a model checked as it was loaded.</summary>
/// <param name="Operation">Such as convolution or attention.</param>
/// <param name="Type">Element type, such as float32.</param>
/// <param name="Error">Largest error found, as a part of the largest number of the answer; infinite where the result was not a
/// number.</param>
/// <param name="UsedInstead">The way that is used since the usual one is wrong; null where the usual one is right.</param>
public sealed record CheckedOperation(string Operation, string Type, double Error, string? UsedInstead)
{
    /// <summary>True where the usual way is right.</summary>
    public bool Passed => UsedInstead is null;

    /// <inheritdoc/>
    public override string ToString() =>
        Passed
            ? $"{Operation} in {Type} is right (error {Error:g2})"
            : $"{Operation} in {Type} gives wrong numbers on this device (error {Error:g2}): {UsedInstead} used instead";
}
